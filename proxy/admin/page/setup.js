// What a page must be told to use this gateway, and commands to try it with, for the address that browsers use: typed by
// the reader and remembered by the browser, else guessed from the settings.

import { byId, put } from "./elements.js";

const MEMORY = "replay-gateway.address";

function remembered() {
  try {
    return localStorage.getItem(MEMORY) ?? "";
  } catch {
    return "";
  }
}

function remember(text) {
  try {
    localStorage.setItem(MEMORY, text);
  } catch {
    // Not remembered, then.
  }
}

function guess({ listeners, setup: told }) {
  if (told.hosts.length) return `https://${told.hosts[0]}`;
  const secure = listeners.find((each) => each.tls) ?? listeners[0];
  const names = (secure.certificate?.names ?? []).filter((name) => /^[a-z0-9.-]+$/i.test(name));
  const port = secure.address.slice(secure.address.lastIndexOf(":"));
  const scheme = secure.tls ? "https" : "http";
  const host = names[0] ?? location.hostname;
  return `${scheme}://${host}${port === (secure.tls ? ":443" : ":80") ? "" : port}`;
}

// The address without a slash at its end; null if the text is none.
function address(text) {
  try {
    const url = new URL(text);
    return /^https?:$/.test(url.protocol) ? `${url.origin}${url.pathname}`.replace(/\/+$/, "") : null;
  } catch {
    return null;
  }
}

export function setup(shown) {
  const input = byId("public");
  if (!input.value && document.activeElement !== input) input.value = remembered() || guess(shown);
  const base = address(input.value);
  input.setAttribute("aria-invalid", String(base === null));
  if (base === null) return;
  const told = shown.setup;
  const track = base + told.track_paths[0];
  const config = base + told.config_paths[0];
  const origin = told.allow_origins.find((each) => !each.includes("*")) ?? "https://www.example.com";
  put(byId("plugin"), [
    'import * as amplitude from "@amplitude/analytics-browser";',
    'import { sessionReplayPlugin } from "@amplitude/plugin-session-replay-browser";',
    "",
    "amplitude.add(sessionReplayPlugin({",
    `  trackServerUrl: ${JSON.stringify(track)},`,
    `  configServerUrl: ${JSON.stringify(config)},`,
    "  sampleRate: 0.1,",
    "}));",
    `amplitude.init(API_KEY, { remoteConfig: { serverUrl: ${JSON.stringify(config)} } });`,
  ].join("\n"));
  put(byId("standalone"), [
    'import * as sessionReplay from "@amplitude/session-replay-browser";',
    "",
    "await sessionReplay.init(API_KEY, {",
    '  deviceId: "<device id>",',
    "  sessionId: Date.now(),",
    `  trackServerUrl: ${JSON.stringify(track)},`,
    `  configServerUrl: ${JSON.stringify(config)},`,
    "  sampleRate: 0.1,",
    "}).promise;",
  ].join("\n"));
  put(byId("csp"), `Content-Security-Policy: connect-src 'self' ${new URL(base).origin}; worker-src 'self' blob:;`);
  put(byId("curl"), tests(track, config, origin));
}

// A text as one word of a shell.
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function tests(track, config, origin) {
  const upload = quoted(`${track}?device_id=test&session_id=1&type=replay`);
  const from = `-H ${quoted(`Origin: ${origin}`)}`;
  const headers = "authorization,content-encoding,content-type,x-client-library,x-client-sample-rate,x-client-url,x-client-version,x-sampling-hash-alg";
  return [
    "API_KEY='the API key'",
    "",
    `curl -si -X OPTIONS ${upload} ${from} \\`,
    "  -H 'Access-Control-Request-Method: POST' \\",
    `  -H 'Access-Control-Request-Headers: ${headers}'`,
    "",
    "printf '{\"version\":1,\"events\":[]}' | gzip |",
    `curl -si ${upload} ${from} -H "Authorization: Bearer $API_KEY" \\`,
    "  -H 'Content-Type: application/json' -H 'Content-Encoding: gzip' --data-binary @-",
    "",
    `curl -si ${quoted(`${config}/`)}"$API_KEY?config_group=browser" ${from}`,
  ].join("\n");
}

// Follows what is typed; `latest` gives the status shown.
export function followTyping(latest) {
  byId("public").addEventListener("input", ({ target }) => {
    if (address(target.value) !== null || !target.value) remember(target.value);
    if (latest() !== null) setup(latest());
  });
}
