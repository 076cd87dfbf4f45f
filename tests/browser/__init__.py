"""The vendor's real SDKs in a real Chromium, recording across origins through a proxy."""
