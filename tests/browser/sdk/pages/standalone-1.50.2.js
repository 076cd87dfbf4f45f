import * as sessionReplay from "session-replay-1.50.2";
import { startStandalone } from "./start-standalone.js";

startStandalone(sessionReplay);
