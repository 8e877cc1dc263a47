// The page: listens to /api/live and puts what it hears into the document. All text goes in as text, never as markup:
// ids and reasons are their producers' own words. What is said, and how, is in words.mjs.

import * as say from "./words.mjs";

const STALL_MS = 30_000; // the service tells once a second; one that looks for long still tells within this
const TOKEN = "unpush.token";
const LOOKS = 60; // a minute of them is drawn

const $ = (id) => document.getElementById(id);

let token = kept();
let wanted = null; // the AbortController of the stream that is to be read; null: none is
let latest = null; // the last overview that was heard
let looks = [];
let rates = [];
let searches = 0;

// --- small things to write with

/** Only what differs is written: a selection stays, and a screen reader has nothing to say. */
function text(node, words) {
  if (node.textContent !== words) node.textContent = words;
}

function create(name, kind = "") {
  const node = document.createElement(name);
  if (kind) node.className = kind;
  return node;
}

/** Bring the children of `parent` in line with `items`: one for each, in order, kept where its key is known. */
function keep(parent, items, keyOf, make, fill) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const unique = new Map(items.map((item) => [keyOf(item), item]));
  let next = parent.firstElementChild;
  for (const [key, item] of unique) {
    const child = known.get(key) ?? make();
    child.dataset.key = key;
    known.delete(key);
    fill(child, item);
    if (child === next) next = next.nextElementSibling;
    else parent.insertBefore(child, next);
  }
  for (const child of known.values()) child.remove();
}

/** A table's body. A cell is a text, or `{ says, to, kind }`: where it leads, and how it looks. */
function rows(body, items, keyOf, cellsOf) {
  keep(body, items, keyOf, () => create("tr"), (line, item) => cellsOf(item).forEach((cell, at) => fillCell(line, at, cell)));
}

function fillCell(line, at, cell) {
  const node = line.cells[at] ?? line.appendChild(at ? create("td") : header());
  const { says, to = null, kind = "" } = typeof cell === "string" ? { says: cell } : cell;
  node.className = kind;
  if (to === null) text(node, says);
  else leadTo(node, to, says);
}

function header() {
  const node = create("th");
  node.scope = "row";
  return node;
}

/** A link to what an id names; the id may be written in any direction. */
function leadTo(node, to, says) {
  let link = node.querySelector("a");
  if (link === null) {
    link = create("a");
    link.append(create("bdi"));
    node.replaceChildren(link);
  }
  if (link.getAttribute("href") !== to) link.href = to;
  link.title = says;
  text(link.firstChild, says);
}

const number = (value) => ({ says: say.count(value), kind: "number" });
const time = (ms) => ({ says: say.duration(ms), kind: "number" });
const violation = (id) => ({ says: id, to: say.link("violations", id) });
const message = (id) => ({ says: id, to: say.link("messages", id) });
const clock = (ms) => new Date(ms).toLocaleTimeString();
const date = (ms) => new Date(ms).toLocaleString();

// --- what is happening

function heard(seen) {
  latest = seen;
  looks = [...looks, say.look(seen)].slice(-LOOKS);
  rates = [...rates, say.rates(looks)?.all ?? 0].slice(-LOOKS);
  if (!paused()) show(seen);
}

function show(seen) {
  text($("who"), say.who(seen));
  text($("connection"), `${paused() ? "paused at" : "live at"} ${clock(seen.at)}`);
  showHealth(seen);
  showFigures(seen);
  showViolations(seen);
  showHeld(seen);
  showApps(seen);
  showResults(seen);
  showShards(seen);
}

function showHealth(seen) {
  text($("verdict"), say.verdict(seen));
  $("verdict").className = seen.ready ? (say.calm(seen) ? "" : "wary") : "bad";
  const told = [...seen.reasons, ...seen.notes];
  keep($("words"), told, (each) => each.word + each.why.slice(0, 40), () => create("li"), (item, each) => text(item, each.why));
}

function showFigures(seen) {
  const [rate, slowest, oldest] = [say.rates(looks), say.slowest(seen), say.oldest(seen)];
  text($("rate"), rate === null ? say.NOTHING : say.count(rate.all));
  $("rates").setAttribute("points", say.line(rates, LOOKS, 120, 24));
  text($("took"), slowest === null ? say.NOTHING : say.duration(slowest.p50Ms));
  text($("took-p99"), slowest === null ? "no call accepted yet" : `${slowest.severity}; 99th percentile ${say.duration(slowest.p99Ms)}`);
  text($("oldest"), oldest === null ? "none" : say.duration(seen.at - oldest.since));
  if (oldest === null) text($("oldest-which"), "nothing waits");
  else leadTo($("oldest-which"), say.link("violations", oldest.violationId), oldest.violationId);
  text($("in-flight"), say.count(seen.callsInFlight));
  text($("waiting"), say.callsWaiting(seen));
  text($("outbox"), say.count(seen.outbox));
  text($("store"), `store ${say.bytes(seen.storeBytes)}`);
  text($("dead"), say.count(say.deadLetters(seen)));
  text($("dead-why"), say.deadLettersTold(seen));
}

function showViolations(seen) {
  text($("counted"), say.countedAgo(seen));
  rows($("violations"), Object.entries(seen.violations), ([severity]) => severity, ([severity, row]) => [
    severity,
    number(row.waiting),
    number(row.active),
    { says: say.count(row.held), kind: row.held ? "number wary" : "number" },
    number(row.settled),
    number(row.withdrawn),
    number(seen.lanes[severity]),
    time(row.toRevoked?.p50Ms),
    time(row.toRevoked?.p99Ms),
    row.oldest ? { says: `${say.duration(seen.at - row.oldest.since)} · ${row.oldest.violationId}`, to: say.link("violations", row.oldest.violationId) } : say.NOTHING,
  ]);
}

function showHeld(seen) {
  text($("held-words"), say.heldTold(seen));
  keep($("held"), seen.held, (held) => `${held.messageId} ${held.violationId}`, heldCard, (card, held) => fillHeld(card, held, seen));
}

function heldCard() {
  const card = create("li");
  card.append(create("p"), create("p"), create("p"), create("p", "words"));
  return card;
}

function fillHeld(card, held, seen) {
  const [name, why, does, how] = card.children;
  leadTo(name, say.link("violations", held.violationId), held.violationId);
  text(why, say.heldWhy(held, seen.at));
  text(does, say.approving(held, seen.apps));
  text(how, say.commandsTold(held.violationId));
}

function showApps(seen) {
  const rate = say.rates(looks);
  text($("apps-words"), say.appsTold(seen.apps));
  rows($("apps"), seen.apps, (app) => app.clientId, (app) => [
    app.clientId,
    { says: say.standing(app, seen.at), kind: say.stopped(app) ? "text wary" : "text" },
    number(rate?.byApp[app.clientId]),
    { says: say.limit(app), kind: "number" },
    number(app.largestCall),
    number(app.callsInFlight),
    number(app.devices.revoked ?? 0),
    number(app.devices.rejected ?? 0),
    number(app.devices.failed ?? 0),
  ]);
}

const LOOKS_OF = { REVOKED: "good", PARTIALLY_REVOKED: "wary", FAILED: "bad", HELD: "wary" };

function showResults(seen) {
  text($("results-words"), say.resultsTold(seen));
  rows($("results"), seen.recent, (result) => `${result.completedAt} ${result.resultId}`, (result) => [
    clock(result.completedAt),
    { says: say.plain(result.outcome) + (result.late ? ", late" : ""), kind: LOOKS_OF[result.outcome] ?? "" },
    result.severity,
    violation(result.violationId),
    message(result.messageId),
    result.clientId ?? say.NOTHING,
    number(result.tokensRevoked),
    number(result.tokensRequested),
    time(result.tookMs),
    { says: say.detailTold(result), kind: "text" },
  ]);
}

function showShards(seen) {
  text($("shards-words"), say.shardsTold(seen));
  const restores = Object.entries(seen.restore);
  keep($("restores"), restores, ([topic]) => topic, () => create("li"), (item, [topic, restore]) => text(item, say.restoreTold(topic, restore, seen.at)));
  rows($("shards"), say.byNeed(seen.shards), (shard) => String(shard.partition), (shard) => [
    String(shard.partition),
    number(shard.sends.unread),
    number(shard.violations.unread),
    number(shard.results.unread),
    number(say.restoring(shard)),
    say.readBackTold(shard.sends, seen),
  ]);
}

// --- search

function search() {
  const asked = say.asked(location.hash);
  if (asked === null) return;
  $("kind").value = asked.kind;
  $("id").value = asked.id;
  find(asked.kind, asked.id);
}

/** Ask for an id and show the answer; of several searches the last one counts. */
async function find(kind, id) {
  const turn = (searches += 1);
  foundSays(`Searching for ${id}`, "");
  const answer = await answerOf(say.address(kind, id)).catch((error) => ({ error: say.failed(error) }));
  if (turn !== searches) return;
  if (answer.error) foundSays(id, answer.error);
  else if (kind === "violations") showViolation(answer);
  else showMessage(answer);
  $("found-title").focus();
}

async function answerOf(address) {
  const reply = await fetch(address, { headers: headers(), cache: "no-store", redirect: "manual" });
  if (reply.status === 401) refuse();
  return reply.json();
}

function foundSays(title, words) {
  $("found").hidden = false;
  text($("found-title"), title);
  text($("found-words"), words);
  for (const id of ["found-facts", "found-commands"]) $(id).replaceChildren();
  for (const id of ["found-violations-box", "found-sends-box"]) $(id).hidden = true;
}

function facts(pairs) {
  $("found-facts").replaceChildren(
    ...pairs.flatMap(([name, cell]) => {
      const [term, fact] = [create("dt"), create("dd")];
      text(term, name);
      if (typeof cell === "string") text(fact, cell);
      else leadTo(fact, cell.to, cell.says);
      return [term, fact];
    }),
  );
}

function showViolation(seen) {
  foundSays(`Violation ${seen.violationId}`, say.stateTold(seen.state));
  facts([
    ["Message", message(seen.messageId)],
    ["State", seen.state],
    ...(seen.waitsFor ? [["Waits for", seen.waitsFor]] : []),
    ["Status", plainStatus(seen)],
    ["Severity", seen.severity],
    ["Reason", seen.reason || say.NOTHING],
    ["Detector", seen.detector ?? say.NOTHING],
    ["Detected", date(seen.detectedAt)],
    ["Token places settled", `${say.count(seen.tokensSettled)} of ${say.count(seen.tokensMatched)}`],
    ["First event", `partition ${seen.partition}, offset ${seen.offset}`],
  ]);
  if (seen.state === "held") showDecision(seen);
}

const plainStatus = (seen) => say.plain(seen.status);

function showDecision(seen) {
  const held = latest?.held.find((each) => each.violationId === seen.violationId && each.messageId === seen.messageId);
  const told = held ? [say.approving(held, latest.apps)] : [];
  for (const words of [...told, say.commandsTold(seen.violationId)]) {
    const item = create("li");
    text(item, words);
    $("found-commands").append(item);
  }
}

function showMessage(seen) {
  foundSays(`Message ${seen.messageId}`, say.countedTold(seen));
  facts([
    ["Partition", String(seen.partition)],
    ["Sends stored", say.count(seen.sends)],
    ["Token places", say.count(seen.tokens)],
  ]);
  $("found-violations-box").hidden = !seen.violations.length;
  rows($("found-violations"), seen.violations, (each) => each.violationId, (each) => [
    violation(each.violationId),
    each.severity,
    each.state,
    { says: each.reason, kind: "text" },
    number(each.tokensSettled),
    number(each.tokensMatched),
  ]);
  $("found-sends-box").hidden = !seen.firstSends.length;
  rows($("found-sends"), seen.firstSends, (send) => String(send.offset), (send) => [
    String(send.offset),
    send.unreadable ? "unreadable" : date(send.sentAt),
    send.clientId ?? say.NOTHING,
    { says: send.notifyId === null || send.unreadable ? say.NOTHING : String(send.notifyId), kind: "number" },
    number(send.tokens),
    send.revocable ? "yes" : "no",
  ]);
}

// --- the stream, and the token it asks for

function headers() {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

function start() {
  stop();
  wanted = new AbortController();
  keepListening(wanted.signal);
}

function stop() {
  wanted?.abort();
  wanted = null;
}

/** Listen, and listen again when it ends, ever more patiently. */
async function keepListening(signal) {
  let failures = 0;
  while (!signal.aborted) {
    const why = await listen(signal, () => (failures = 0)).catch((error) => say.failed(error));
    if (signal.aborted) return;
    lost(why);
    await pass(say.againMs(failures++, Math.random()), signal);
  }
}

/** Read the stream to its end; gives why it ended. */
async function listen(signal, began) {
  const reply = await fetch("/api/live", { headers: headers(), cache: "no-store", signal });
  if (reply.status === 401) return refuse();
  if (!reply.ok) return (await reply.json()).error;
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  const events = new say.Events();
  for (;;) {
    const piece = await Promise.race([reader.read(), pass(STALL_MS, signal).then(() => null)]);
    if (piece === null) {
      reader.cancel().catch(() => {});
      return "it has told nothing for half a minute";
    }
    if (piece.done) return "the service has ended the stream";
    for (const data of events.take(piece.value)) {
      began();
      enter();
      heard(JSON.parse(data));
    }
  }
}

function pass(ms, signal) {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), done()), { once: true });
  });
}

function enter() {
  if (!$("service").hidden) return;
  const asked = !$("entry").hidden;
  $("entry").hidden = true;
  $("service").hidden = $("pause").hidden = false;
  $("forget").hidden = !token;
  if (asked) $("main").focus();
  search();
}

function lost(why) {
  text($("connection"), latest ? "not connected" : `not connected: ${why}`);
  text($("verdict"), say.lostTold(why, latest && clock(latest.at)));
  $("verdict").className = "bad";
}

/** The service wants a token, or another one. */
function refuse() {
  const tried = token;
  stop();
  forget();
  text($("refused"), tried ? "The service does not take this token." : "");
  $("token").focus();
}

function forget() {
  token = "";
  remember("");
  latest = null;
  [looks, rates] = [[], []];
  $("service").hidden = $("pause").hidden = $("forget").hidden = true;
  $("entry").hidden = false;
  for (const id of ["who", "connection"]) text($(id), "");
}

function kept() {
  try {
    return sessionStorage.getItem(TOKEN) ?? "";
  } catch {
    return ""; // a browser that keeps nothing: it is asked for again
  }
}

function remember(word) {
  try {
    if (word) sessionStorage.setItem(TOKEN, word);
    else sessionStorage.removeItem(TOKEN);
  } catch {
    // as above
  }
}

const paused = () => $("pause").getAttribute("aria-pressed") === "true";

// --- what a person does

$("entry").addEventListener("submit", (event) => {
  event.preventDefault();
  const given = $("token").value.trim();
  $("token").value = "";
  if (!/^[\x21-\x7e]+$/.test(given)) {
    text($("refused"), "A token has no spaces and no letters beyond ASCII.");
    return;
  }
  token = given;
  remember(token);
  text($("refused"), "");
  start();
});

$("forget").addEventListener("click", () => {
  stop();
  forget();
  text($("refused"), "");
  $("token").focus();
});

$("pause").addEventListener("click", () => {
  $("pause").setAttribute("aria-pressed", String(!paused()));
  if (latest) show(latest);
});

$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const to = say.link($("kind").value, $("id").value.trim());
  if (location.hash === to) search();
  else location.hash = to;
});

addEventListener("hashchange", search);

// A page that nobody looks at costs the service nothing.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) stop();
  else if ($("entry").hidden && wanted === null) start();
});

start();
