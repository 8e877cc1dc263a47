// What the page says, as plain functions: values in, words out. No document, no clock, no network; node tests it.

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** What stands where nothing is known. */
export const NOTHING = "–";

/** Whole numbers with thin spaces, as they are read in any country: 1 234 567. */
export function count(number) {
  if (number === null || number === undefined) return NOTHING;
  return String(Math.round(number)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** A duration in its two largest units at most: 40 ms, 2.5 s, 3 min 20 s, 5 h, 2 d 4 h. */
export function duration(ms) {
  if (ms === null || ms === undefined) return NOTHING;
  if (ms < 0) return "0 ms";
  if (ms < SECOND_MS) return `${Math.round(ms)} ms`;
  if (ms < 9_950) return `${(ms / SECOND_MS).toFixed(1)} s`;
  if (ms < 59_500) return `${Math.round(ms / SECOND_MS)} s`;
  if (ms < HOUR_MS - SECOND_MS / 2) return inTwo(ms, MINUTE_MS, "min", SECOND_MS, "s");
  if (ms < DAY_MS - MINUTE_MS / 2) return inTwo(ms, HOUR_MS, "h", MINUTE_MS, "min");
  return inTwo(ms, DAY_MS, "d", HOUR_MS, "h");
}

function inTwo(ms, large, largeName, small, smallName) {
  const smalls = Math.round(ms / small);
  const rest = smalls % (large / small);
  const whole = `${Math.floor(smalls / (large / small))} ${largeName}`;
  return rest ? `${whole} ${rest} ${smallName}` : whole;
}

/** How long ago, seen from `nowMs`; clocks that differ make it "just now", never negative. */
export function ago(thenMs, nowMs) {
  return nowMs - thenMs < SECOND_MS ? "just now" : `${duration(nowMs - thenMs)} ago`;
}

/** Bytes in decimal units. */
export function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (number >= 999.5 && at < units.length - 1) {
    number /= 1000;
    at += 1;
  }
  return `${at && number < 9.95 ? number.toFixed(1) : Math.round(number)} ${units[at]}`;
}

/** "1 device", "2 devices". */
export function many(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** The first word of an outcome's or a state's name, as people write it: ALREADY_REVOKED, already revoked. */
export function plain(word) {
  return word.toLowerCase().replaceAll("_", " ");
}

/**
 * Devices a second, of each app and in all, from looks at counters that only grow: the last against the first within
 * `spanMs`. null: a single look says nothing. A counter that fell belongs to a new process: it begins anew.
 */
export function rates(looks, spanMs = 10_000) {
  const last = looks.at(-1);
  const first = looks.find((look) => look.at >= (last?.at ?? 0) - spanMs);
  const passedS = last && first ? (last.at - first.at) / SECOND_MS : 0;
  if (passedS <= 0 || last.since !== first.since) return null;
  const byApp = {};
  let all = 0;
  for (const [app, devices] of Object.entries(last.revoked)) {
    byApp[app] = Math.max(0, devices - (first.revoked[app] ?? 0)) / passedS;
    all += byApp[app];
  }
  return { all, byApp };
}

/** What `rates` needs of an overview. */
export function look(seen) {
  const revoked = Object.fromEntries(seen.apps.map((app) => [app.clientId, app.devices.revoked ?? 0]));
  return { at: seen.at, since: seen.since, revoked };
}

/** The points of a line through `values`, the newest at the right edge, the largest at the top. */
export function line(values, most, width, height) {
  const top = Math.max(1, ...values);
  const step = width / (most - 1);
  const left = width - step * (values.length - 1);
  return values.map((value, at) => `${(left + at * step).toFixed(1)},${(height - (value / top) * height).toFixed(1)}`).join(" ");
}

/**
 * Whether all is well, in a sentence that is read aloud when it changes: so it has no figures in it, which would change
 * every second.
 */
export function verdict(seen) {
  if (seen.reasons.length) return `Not ready: ${seen.reasons.map((reason) => plain(reason.word)).join(", ")}.`;
  if (heldCount(seen)) return "Ready; violations are held for a person.";
  return seen.notes.length ? "Ready, with something to know:" : "Ready.";
}

/** Violations that the guard holds, of all severities. */
export function heldCount(seen) {
  return Object.values(seen.violations).reduce((all, row) => all + row.held, 0);
}

/** Of all severities the open violation that was asked for first, or null. */
export function oldest(seen) {
  const open = Object.entries(seen.violations).filter(([, row]) => row.oldest);
  open.sort(([, one], [, other]) => one.oldest.since - other.oldest.since);
  return open.length ? { severity: open[0][0], ...open[0][1].oldest } : null;
}

/** Of all severities the one whose calls took longest, by the 99th percentile, or null. */
export function slowest(seen) {
  const waits = Object.entries(seen.violations).filter(([, row]) => row.toRevoked);
  waits.sort(([, one], [, other]) => other.toRevoked.p99Ms - one.toRevoked.p99Ms);
  return waits.length ? { severity: waits[0][0], ...waits[0][1].toRevoked } : null;
}

const BREAKERS = { open: "not answered, probed", opening: "answered again, calling ever more" };

/** How an app stands. */
export function standing(app, nowMs) {
  if (app.waitsFor === null) return BREAKERS[app.breaker] ?? (app.callsInFlight ? "calling" : "idle");
  return app.since === null ? app.waitsFor : `${app.waitsFor} (for ${duration(nowMs - app.since)})`;
}

/** Whether an app makes no ordinary calls though it could have some. */
export function stopped(app) {
  return app.waitsFor !== null || app.breaker === "open";
}

/** Devices a second that an app is held to: what is set, or what Push Kit was found to take, where that is less. */
export function limit({ devicesPerSecond: set, learnedDevicesPerSecond: learned }) {
  if (learned && (!set || learned < set)) return `${count(learned)}, learned`;
  return set ? count(set) : "none set";
}

/** The shards that still read their past first, then those that are behind most, then by number. */
export function byNeed(shards) {
  const need = (shard) => [restoring(shard), unread(shard)];
  return [...shards].sort((one, other) => {
    const [left, right] = [need(one), need(other)];
    return right[0] - left[0] || right[1] - left[1] || one.partition - other.partition;
  });
}

const TOPICS = ["sends", "violations", "results"];

/** Offsets of the past that a shard has still to read, over its topics. */
export function restoring(shard) {
  return TOPICS.reduce((all, topic) => all + shard[topic].restoring, 0);
}

/** Its live lag, over its topics. */
export function unread(shard) {
  return TOPICS.reduce((all, topic) => all + (shard[topic].unread ?? 0), 0);
}

/** How much of retention has been read back, 0 to 1; null: not known. */
export function readBack(readBackToMs, nowMs, retentionMs) {
  if (readBackToMs === null) return null;
  return Math.min(1, Math.max(0, (nowMs - readBackToMs) / retentionMs));
}

/** How far the restore of one topic is, in a sentence. */
export function restoreTold(topic, restore, nowMs) {
  const left = restore.leftSeconds === null ? "" : `, about ${duration(restore.leftSeconds * SECOND_MS)} left`;
  const back = restore.readBackTo === null ? "" : `; read back ${duration(nowMs - restore.readBackTo)}`;
  return `${topic}: ${count(restore.remaining)} still to read at ${count(restore.recordsPerSecond)}/s${left}${back}`;
}

/** What approving a held violation would do, in a sentence. `apps`: those of the overview. */
export function approving(held, apps) {
  const whose = held.apps.length ? ` of app${held.apps.length === 1 ? "" : "s"} ${held.apps.join(", ")}` : "";
  const limits = held.apps.map((id) => apps.find((app) => app.clientId === id)?.devicesPerSecond ?? 0);
  const limited = limits.length > 0 && limits.every((limit) => limit > 0);
  const leastMs = (held.tokensOpen / limits.reduce((all, limit) => all + limit, 0)) * SECOND_MS;
  const takes = limited ? `, in ${duration(leastMs)} at least at this instance's limits` : "";
  return `Approving revokes up to ${many(held.tokensOpen, "device")}${whose}${takes}.`;
}

/**
 * The command that decides on a violation, safe to paste into a shell; null where the id holds what a terminal might
 * act on, or cannot show. Ids are their producers' own words.
 */
export function command(verb, violationId) {
  if (/[\p{C}\p{Zl}\p{Zp}]/u.test(violationId) || violationId.endsWith("…")) return null;
  const quoted = /^[\w.:/@%+=][\w.:/@%+=-]*$/.test(violationId) ? violationId : `'${violationId.replaceAll("'", "'\\''")}'`;
  return `unpush ${verb} -c unpush.toml ${quoted.startsWith("-") || quoted.startsWith("'-") ? "-- " : ""}${quoted}`;
}

/** Where an id is asked for; what another instance owns is asked by ours, since this page may not go there. */
export function address(kind, id, messageId = "") {
  const more = messageId && kind === "violations" ? `&messageId=${encodeURIComponent(messageId)}` : "";
  return `/api/${kind}/${encodeURIComponent(id)}?follow=1${more}`;
}

/** What a link of this page asks for: `#violations/ID` or `#messages/ID`; null: nothing of the kind. */
export function asked(hash) {
  const found = /^#(violations|messages)\/([^/]+)$/.exec(hash);
  try {
    return found && { kind: found[1], id: decodeURIComponent(found[2]) };
  } catch {
    return null;
  }
}

/** The link for an id; `asked` reads it. */
export function link(kind, id) {
  return `#${kind}/${encodeURIComponent(id)}`;
}

/**
 * Takes a stream of server-sent events apart as it comes, in whatever pieces: `take` gives the data of the events that
 * are complete. Of the format it knows what our server writes: `data` lines, other fields passed over.
 */
export class Events {
  #rest = "";

  take(text) {
    const blocks = (this.#rest + text).split("\n\n");
    this.#rest = blocks.pop();
    return blocks.map(dataOf).filter((data) => data !== "");
  }
}

function dataOf(block) {
  const lines = block.split("\n").filter((each) => each.startsWith("data:"));
  return lines.map((each) => each.slice(5).trimStart()).join("\n");
}

/** How long to wait before trying again, by how often it failed in a row: 1 s to 15 s, spread by `chance` in [0, 1). */
export function againMs(failures, chance) {
  return Math.min(15_000, 1_000 * 2 ** Math.min(failures, 10)) * (0.5 + chance / 2);
}

// --- sentences

/** Whether there is nothing that a person should look into. */
export function calm(seen) {
  return seen.ready && !seen.notes.length && !heldCount(seen);
}

/** Why something that was asked for did not come. */
export function failed(error) {
  return error instanceof TypeError ? "the service does not answer" : error.message;
}

/** That the stream has ended, and of when what is still shown is. */
export function lostTold(why, at) {
  return `Not connected: ${why ?? "it wants a token"}.${at ? ` What follows is of ${at}.` : ""}`;
}

/** How many calls wait, and for what. */
export function callsWaiting(seen) {
  const ready = Object.values(seen.lanes).reduce((all, depth) => all + depth, 0);
  return `${count(ready)} wait, ${count(seen.retriesWaiting)} to be tried again`;
}

/** Of when the counts are, where they are not of now: very many are counted less often. */
export function countedAgo(seen) {
  return seen.at - seen.countedAt < 3 * SECOND_MS ? "" : `Counted ${ago(seen.countedAt, seen.at)}.`;
}

/** Bad records, of every reason. */
export function deadLetters(seen) {
  return Object.values(seen.deadLetters).reduce((all, each) => all + each, 0);
}

/** What was wrong with them: what to do goes by the reason. */
export function deadLettersTold(seen) {
  const told = Object.entries(seen.deadLetters).map(([reason, number]) => `${reason} ${count(number)}`);
  return told.join(", ") || "every record could be read";
}

/** What the guard holds, in all. */
export function heldTold(seen) {
  const all = heldCount(seen);
  if (all === 0) return part(seen) ? `Nothing is held here, of ${part(seen)}; the other instances show theirs.` : "Nothing is held.";
  const shown = all > seen.held.length ? `; the first ${count(seen.held.length)} of them` : "";
  return `${many(all, "violation")} wait${all === 1 ? "s" : ""} for a person's word${shown}:`;
}

/** Of what a held violation speaks, and why it is held where that is known. */
export function heldWhy(held, nowMs) {
  const found = `${held.severity}, found ${ago(held.detectedAt, nowMs)}${held.detector ? ` by ${held.detector}` : ""}`;
  return [`Message ${held.messageId}`, found, held.reason, held.heldFor].filter(Boolean).join(" · ");
}

/** How to decide on a held violation. */
export function commandsTold(violationId) {
  const [approve, withdraw] = [command("approve", violationId), command("withdraw", violationId)];
  if (approve === null) return "Its id holds characters that a terminal might act on, or is longer than is shown here.";
  return `${approve}   or   ${withdraw}`;
}

/** How many apps there are, and how many are stopped. */
export function appsTold(apps) {
  if (!apps.length) return "No app has had a call yet.";
  const waiting = apps.filter(stopped).length;
  return `${many(apps.length, "app")}${waiting ? `, ${count(waiting)} of them stopped` : ""}. Limits are this instance's share.`;
}

/** What came of all since the start. */
export function resultsTold(seen) {
  const outcomes = Object.entries(seen.results).sort(([, one], [, other]) => other - one);
  if (!outcomes.length) return "No result since the start.";
  return `Since the start: ${outcomes.map(([outcome, results]) => `${count(results)} ${plain(outcome)}`).join(", ")}.`;
}

/** What there is to say of one result. */
export function detailTold(result) {
  const rejected = result.tokensRejected ? `${many(result.tokensRejected, "token")} rejected` : "";
  const tried = result.attempts > 1 ? `${count(result.attempts)} attempts` : "";
  return [rejected, result.detail, tried].filter(Boolean).join("; ");
}

/** How the shards are, in all. */
export function shardsTold(seen) {
  const lag = seen.shards.reduce((all, shard) => all + unread(shard), 0);
  const past = seen.shards.filter((shard) => restoring(shard)).length;
  const read = past ? `${count(past)} still read their past` : "the past is read";
  return `${count(seen.shards.length)} of ${many(seen.partitions, "shard")} here; ${many(lag, "record")} unread; ${read}.`;
}

/** Of what this page is. */
export function who(seen) {
  const some = part(seen) ? `, this instance with ${part(seen)}` : "";
  return `group ${seen.groupId}, version ${seen.version}${some}${seen.dryRun ? ", dry run: no calls" : ""}`;
}

/** Which part of all this instance has, where it has not all: the others' violations are not on its page. */
export function part({ shards, partitions }) {
  return shards.length < partitions ? `${count(shards.length)} of ${many(partitions, "shard")}` : "";
}

/** How far a shard's sends have been read back. */
export function readBackTold(sends, seen) {
  if (!sends.restoring) return "all of retention";
  const share = readBack(sends.readBackTo, seen.at, seen.retentionMs);
  return share === null ? "not known yet" : `${duration(share * seen.retentionMs)}, ${Math.floor(100 * share)} %`;
}

const STATES = {
  waiting: "No send of its message has been found yet; one that comes is revoked.",
  active: "Revoking: places are open, or sends are still being counted or read.",
  held: "The guard holds it until a person approves or withdraws it.",
  settled: "Every known place has its result.",
  withdrawn: "It was withdrawn: nothing more is done for it.",
};

/** What a state means. */
export function stateTold(state) {
  return STATES[state] ?? "";
}

/** Whether a message could be counted whole. */
export function countedTold(seen) {
  return seen.counted ? "" : "It has more sends than could be counted in five seconds: the numbers say how far that came.";
}
