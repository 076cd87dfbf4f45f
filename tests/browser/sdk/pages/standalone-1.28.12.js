import * as sessionReplay from "session-replay-1.28.12";
import { startStandalone } from "./start-standalone.js";

startStandalone(sessionReplay);
