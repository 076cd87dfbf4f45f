// What every page script needs: the scenario that the page site wrote into the page, and the marks that the driver waits for.

export const scenario = window.scenario;

export function mark(state, detail = "") {
  window.recorder = { state, detail: String(detail) };
}

export function replayOptions() {
  return {
    sampleRate: 1,
    trackServerUrl: scenario.trackServerUrl,
    configServerUrl: scenario.configServerUrl,
    ...scenario.options,
  };
}
