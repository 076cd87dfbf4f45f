// Starts the standalone SDK, whichever version the flavour's own file hands in.
import { mark, replayOptions, scenario } from "./scenario.js";

const DEBUG = 4;

export async function startStandalone(sessionReplay) {
  mark("starting");
  try {
    await sessionReplay.init(scenario.apiKey, {
      deviceId: scenario.deviceId,
      sessionId: Date.now(),
      logLevel: DEBUG,
      ...replayOptions(),
    }).promise;
    mark("started");
  } catch (error) {
    mark("failed", error);
  }
}
