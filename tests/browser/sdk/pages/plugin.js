// Starts the analytics SDK with the session-replay plugin. The analytics SDK would ask the vendor's own hosts for its
// configuration and send them its events: both are pointed at addresses of the test.
import * as amplitude from "@amplitude/analytics-browser";
import { sessionReplayPlugin } from "@amplitude/plugin-session-replay-browser";
import { mark, replayOptions, scenario } from "./scenario.js";

const DEBUG = 4;

async function start() {
  mark("starting");
  try {
    await amplitude.add(sessionReplayPlugin(replayOptions())).promise;
    await amplitude.init(scenario.apiKey, {
      deviceId: scenario.deviceId,
      logLevel: DEBUG,
      serverUrl: "/analytics",
      remoteConfig: { serverUrl: scenario.configServerUrl },
    }).promise;
    mark("started");
  } catch (error) {
    mark("failed", error);
  }
}

start();
