// The status page: asks for the status every two seconds and shows it. Plain script, no library. What is shown stays when
// the gateway no longer answers.

import { byId, cell, child, list, put, table, trim } from "./elements.js";
import { followTyping, setup } from "./setup.js";

const POLL = 2000; // milliseconds between two questions
const PATIENCE = 5000;
const KEPT = 90; // points of a line: three minutes
const TONES = { ok: "ok", degraded: "warn", failing: "bad" };
const OUTCOMES = {
  delivered: "Delivered",
  skipped: "Delivered, thrown away by the vendor",
  refused: "Refused by the vendor",
  stale: "Last good configuration",
  preflight: "Preflights answered",
  rejected: "Refused by the gateway",
  failed: "Failed",
  client_gone: "Aborted by the client",
};

let last = null; // the document shown
let lostAt = null; // when the gateway was last heard of, once it no longer answers
const lines = {};

// -- text

const plain = new Intl.NumberFormat("en-GB");
const count = (value) => plain.format(value);

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const step = value < 1024 ? 0 : Math.min(Math.floor(Math.log2(value) / 10), units.length - 1);
  return `${(value / 1024 ** step).toFixed(step && value / 1024 ** step < 100 ? 1 : 0)} ${units[step]}`;
}

function duration(seconds) {
  if (seconds === null) return "–";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(seconds)} s`;
}

const rate = (value) => (value >= 100 ? count(Math.round(value)) : value.toFixed(value >= 10 ? 1 : 2));
const clock = (milliseconds) => new Date(milliseconds).toLocaleTimeString("en-GB");
const day = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 10);
const ago = (seconds) => (seconds ? `${duration(Math.max(last.at - seconds, 0))} ago` : "never");

// -- lines

function svg(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function tile(name, title, text, value) {
  const line = (lines[name] ??= []);
  line.push(value);
  if (line.length > KEPT) line.shift();
  let box = byId(`tile-${name}`);
  if (!box) {
    box = byId("tiles").appendChild(document.createElement("div"));
    box.id = `tile-${name}`;
    box.className = "tile";
    child(box, 0, "h3").textContent = title;
    child(box, 1, "p").className = "value";
    const drawing = svg("svg", { viewBox: "0 0 100 30", preserveAspectRatio: "none", "aria-hidden": "true" });
    drawing.append(svg("line", { x1: 0, x2: 100, y1: 29, y2: 29 }), svg("polyline", { points: "" }));
    box.append(drawing);
  }
  put(box.children[1], text);
  box.querySelector("polyline").setAttribute("points", points(line));
}

function points(line) {
  const top = Math.max(...line, Number.MIN_VALUE);
  const left = 100 - ((line.length - 1) * 100) / (KEPT - 1);
  return line.map((value, x) => `${(left + (x * 100) / (KEPT - 1)).toFixed(1)},${(29 - (value / top) * 26).toFixed(1)}`).join(" ");
}

// -- sections

function head(shown) {
  const tone = TONES[shown.state] ?? "bad";
  put(byId("state"), shown.state, tone);
  const { version, build, uptime_seconds: up } = shown.gateway;
  put(byId("about"), `${version}, ${build}, up ${duration(up)}, seen ${clock(shown.at * 1000)}`);
  document.title = shown.state === "ok" ? "replay-gateway" : `${shown.state}: replay-gateway`;
  const reasons = shown.reasons.length ? shown.reasons : [{ state: "ok", about: "", text: "Nothing." }];
  const parent = byId("attention");
  trim(parent, reasons.length);
  reasons.forEach((reason, index) => {
    const item = child(parent, index, "li");
    item.dataset.tone = TONES[reason.state] ?? "bad";
    cell(item, { text: reason.text, note: reason.about });
  });
}

// Per second between two documents of the same run.
function perSecond(shown, before, route) {
  const seconds = shown.at - before.at;
  return seconds > 0 ? (shown.traffic[route].requests - before.traffic[route].requests) / seconds : 0;
}

function requests(shown, before) {
  const isSameRun = before !== null && before.gateway.started === shown.gateway.started;
  const { track, config } = shown.traffic;
  const rates = Object.fromEntries(
    ["track", "config"].map((route) => [route, isSameRun ? perSecond(shown, before, route) : shown.traffic[route].per_second]),
  );
  const slowest = track.recent_seconds.gateway.p99;
  tile("track", "Uploads per second", rate(rates.track), rates.track);
  tile("config", "Configurations per second", rate(rates.config), rates.config);
  tile("p99", "Upload, 99 % within", duration(slowest), slowest ?? 0);
  tile("hand", "In hand now", `${count(shown.in_hand.requests)}, ${bytes(shown.in_hand.body_bytes)}`, shown.in_hand.requests);
  table("latency", [["Uploads", track], ["Configurations", config]].map(([name, { recent_seconds: taken }]) =>
    [name, ...["p50", "p99"].map((part) =>
      ({ text: duration(taken.gateway[part]), note: `vendor ${duration(taken.upstream[part])}` }))]));
  table("answers", ["2xx", "3xx", "4xx", "5xx", "none"].map((status) =>
    [status === "none" ? "No answer sent" : status, count(track.recent_answers[status]), count(config.recent_answers[status])]));
}

function ledger({ ledger: sums }) {
  const bad = new Set(["rejected", "failed", "skipped", "refused"]);
  const rows = Object.entries(OUTCOMES).map(([name, text]) => {
    const recent = sums.recent[name];
    return [text, { text: count(recent), tone: recent && bad.has(name) ? "warn" : "" }, count(sums[name])];
  });
  table("ledger", [["Received", count(sums.recent.received), count(sums.received)], ...rows]);
  verdict("ledger-sum", sums.adds_up, `${count(sums.unaccounted)} are unaccounted for.`);
}

function verdict(id, isEven, otherwise) {
  put(byId(id), isEven ? "It adds up." : `It does not add up. ${otherwise}`, isEven ? "ok" : "bad");
}

const caused = (name, note, recent, total) =>
  [{ text: name, note }, { text: count(recent), tone: recent ? "warn" : "" }, count(total)];

function refusals(shown) {
  table("rejections", shown.rejections.map((each) =>
    caused(`${each.reason} (${each.status.join(", ")})`, each.fix, each.recent, each.count)), "None was refused.");
  const { cors } = shown;
  table("cors", [
    caused("Preflights not granted", "The reason is in the table above.", cors.recent_preflights_refused, cors.preflights_refused),
    caused("Pages that are not allowed", cors.fix.foreign_origin, cors.recent_foreign_origins_refused, cors.foreign_origins_refused),
    caused("Headers that no known SDK sends", cors.fix.unknown_headers, cors.recent_unknown_headers, cors.unknown_headers),
  ]);
  const failed = shown.failures.map((each) => caused(`${each.kind} (${each.side})`, each.fix, each.recent, each.count));
  const skipped = shown.skipped.map((each) => caused(`thrown away, code ${each.code}`, each.fix, each.recent, each.count));
  table("failures", [...failed, ...skipped], "None failed.");
}

function vendor({ upstreams, config, workers }) {
  table("endpoints", upstreams.endpoints.map((each) => {
    const isOpen = each.breakers_open > 0;
    const breaker = { text: isOpen ? `open (${each.breakers_open} of ${workers.wanted})` : "closed", tone: isOpen ? "bad" : "ok" };
    const answers = ["2xx", "4xx", "5xx"].map((status) =>
      ({ text: count(each.recent_answers[status]), note: count(each.answers[status]) }));
    return [{ text: `${each.region} ${each.route}`, note: each.host }, breaker, ...answers];
  }));
  list("pool", [
    ["Open now", count(upstreams.pool.open)],
    ["of these idle", count(upstreams.pool.idle)],
    ["Opened since start", count(upstreams.connects)],
    ["Breakers opened since start", count(upstreams.breakers_opened)],
    ...upstreams.connect_failures.map((each) =>
      [`Not made: ${each.kind}. ${each.fix}`, `${count(each.recent)} (${count(each.count)})`, each.recent ? "bad" : ""]),
  ]);
  const { recent } = config;
  list("config", [
    ["From the vendor", `${count(recent.live)} (${count(config.live)})`],
    ["The last good one", `${count(recent.stale)} (${count(config.stale)})`, recent.stale ? "warn" : ""],
    ["None: those visitors are not recorded", `${count(recent.missed)} (${count(config.missed)})`, recent.missed ? "bad" : ""],
    ["The vendor gave a good one", ago(config.last_live)],
  ]);
}

function archive({ archive: shown }) {
  byId("archive-off").hidden = shown !== null;
  byId("archive-on").hidden = shown === null;
  if (shown === null) return;
  const { spool, store } = shown;
  const dropped = shown.dropped.reduce((sum, each) => sum + each.count, 0);
  list("account", [
    ["Offered", count(shown.offered)],
    ["Found from before this start", count(shown.found)],
    ["Archived", `${count(shown.archived)}, ${bytes(shown.archived_bytes)}`],
    ["In the spool", count(shown.pending)],
    ["In memory", `${count(shown.queued)}, ${bytes(shown.queue_bytes)}`],
    ["Not archived", count(dropped)],
    ["Damaged", count(shown.damaged), shown.damaged ? "bad" : ""],
  ]);
  verdict("account-sum", shown.adds_up, `${count(shown.queued)} are in none of these places.`);
  const known = spool.segments !== null;
  const used = known ? spool.bytes / spool.max_bytes : 0;
  byId("spool-meter").value = used;
  put(byId("spool-label"), known ? `Spool: ${bytes(spool.bytes)} of ${bytes(spool.max_bytes)}` : `Spool: ${spool.why_not}`);
  list("spool", [
    ["Room", spool.full ? "none, now or within the last minute" : "there is", spool.full ? "bad" : "ok"],
    ["Free on its disk", known ? bytes(spool.free_bytes) : "–"],
    ["Segments", known ? Object.entries(spool.segments).map(([state, number]) => `${number} ${state}`).join(", ") : "–"],
    ["Stored last", ago(store.last_stored)],
    ["The oldest waits for", duration(store.lag_seconds)],
    ["Failed calls of the store", count(store.failed_calls)],
    ["Last error", store.last_error ? `${store.last_error.kind}, ${ago(store.last_error.at)}` : "none"],
    ["Archiver", shown.archiver.ready ? "running" : "not running", shown.archiver.ready ? "ok" : "bad"],
  ]);
  table("drops", shown.dropped.map((each) => caused(each.reason, each.fix, each.recent, each.count)), "All are kept.");
}

function processes({ workers, loop_lag_seconds: lag, listeners, in_hand: hand, gateway }) {
  const isWhole = workers.ready >= workers.wanted;
  list("workers", [
    ["Ready", `${workers.ready} of ${workers.wanted}`, isWhole ? "ok" : "warn"],
    ["Started again since start", count(workers.restarts), workers.recent_restarts ? "warn" : ""],
    ["Shutting down", workers.draining ? "yes" : "no", workers.draining ? "warn" : ""],
    ["Client connections", count(hand.client_connections)],
    ["Loop late by, 90 % of the last minute", duration(lag.p90)],
    ["Log lines dropped", count(gateway.log_lines_dropped)],
  ]);
  table("listeners", listeners.map(({ address, tls, certificate }) => {
    if (!tls) return [{ text: address, note: "plain HTTP" }, "–"];
    const days = certificate.days_left;
    const tone = days === null || days >= 14 ? "" : days > 0 ? "warn" : "bad";
    const left = days === null ? "unknown" : days <= 0 ? "expired" : days < 730 ? `in ${Math.floor(days)} days` : `in ${Math.floor(days / 365.25)} years`;
    return [{ text: address, note: certificate.names.join(", ") || "TLS" },
      { text: left, note: certificate.expires ? day(certificate.expires) : "", tone }];
  }));
}

// -- asking

function show(shown) {
  const before = last;
  last = shown;
  head(shown);
  requests(shown, before);
  for (const section of [ledger, refusals, vendor, archive, processes, setup]) section(shown);
}

function answered() {
  lostAt = null;
  byId("gone").hidden = true;
}

function unanswered() {
  lostAt ??= last ? last.at * 1000 : Date.now();
  put(byId("gone"), `No answer since ${clock(lostAt)}. ${last ? "What is shown is from then." : ""}`);
  byId("gone").hidden = false;
  put(byId("state"), "no answer", "bad");
  document.title = "no answer: replay-gateway";
}

async function question() {
  try {
    const answer = await fetch("status", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

async function ask() {
  try {
    const shown = await question();
    if (shown === null) unanswered();
    else {
      show(shown);
      answered();
    }
  } finally {
    setTimeout(ask, POLL);
  }
}

followTyping(() => last);
ask();
