// What the page says. Run by node's own test runner; tests/operate/test_page.py starts it.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as say from "../../stream/operate/page/words.mjs";

const NARROW = "\u202f";
const HOUR = 3_600_000;

const row = (more = {}) => ({ waiting: 0, active: 0, held: 0, settled: 0, withdrawn: 0, oldest: null, toRevoked: null, ...more });
const calm = { ready: true, reasons: [], notes: [], shards: [], partitions: 0, violations: { HIGH: row(), LOW: row() } };
const shard = (partition, sends = {}) => ({
  partition,
  sends: { unread: 0, restoring: 0, readBackTo: null, ...sends },
  violations: { unread: 0, restoring: 0, readBackTo: null },
  results: { unread: null, restoring: 0, readBackTo: null },
});

test("numbers are grouped by threes, and what is not known is a dash", () => {
  assert.equal(say.count(0), "0");
  assert.equal(say.count(999.4), "999");
  assert.equal(say.count(1_234_567), `1${NARROW}234${NARROW}567`);
  assert.equal(say.count(null), "–");
  assert.equal(say.count(undefined), "–");
});

test("a duration has two units at most and never sixty of the smaller", () => {
  const said = {
    0: "0 ms", 40: "40 ms", 999: "999 ms", 1_000: "1.0 s", 2_540: "2.5 s", 9_960: "10 s", 59_400: "59 s", 59_600: "1 min",
    200_000: "3 min 20 s", 3_599_700: "1 h", 5_400_000: "1 h 30 min", 86_399_000: "1 d", 187_200_000: "2 d 4 h",
  };
  for (const [ms, words] of Object.entries(said)) assert.equal(say.duration(Number(ms)), words, ms);
  assert.equal(say.duration(-5), "0 ms");
  assert.equal(say.duration(null), "–");
});

test("clocks that differ are not shown as a time to come", () => {
  assert.equal(say.ago(2_000, 1_000), "just now");
  assert.equal(say.ago(1_000, 61_000), "1 min ago");
});

test("bytes are decimal", () => {
  assert.deepEqual([0, 999, 1_000, 31_900, 999_700, 2_500_000_000].map(say.bytes), ["0 B", "999 B", "1.0 kB", "32 kB", "1.0 MB", "2.5 GB"]);
});

test("devices a second come from counters, the last look against the first within ten seconds", () => {
  const look = (at, revoked, since = 1) => ({ at, since, revoked });
  assert.equal(say.rates([]), null);
  assert.equal(say.rates([look(1_000, { a: 5 })]), null);
  const looks = [look(0, { a: 0 }), look(5_000, { a: 100 }), look(10_000, { a: 200, b: 50 }), look(15_000, { a: 300, b: 150 })];
  assert.deepEqual(say.rates(looks), { all: 35, byApp: { a: 20, b: 15 } });
  assert.equal(say.rates([look(0, { a: 900 }, 1), look(1_000, { a: 10 }, 2)]), null, "another process counts anew");
});

test("an overview gives what the rates are made of", () => {
  const apps = [{ clientId: "a", devices: { revoked: 7, failed: 1 } }, { clientId: "b", devices: {} }];
  assert.deepEqual(say.look({ at: 9, since: 1, apps }), { at: 9, since: 1, revoked: { a: 7, b: 0 } });
});

test("the line ends at the right edge and its largest value is at the top", () => {
  assert.equal(say.line([0, 5, 10], 5, 40, 10), "20.0,10.0 30.0,5.0 40.0,0.0");
  assert.equal(say.line([0], 5, 40, 10), "40.0,10.0");
});

test("the verdict has no figure in it, so that it is read aloud only when something has changed", () => {
  assert.equal(say.verdict(calm), "Ready.");
  const reasons = [{ word: "no_broker", why: "no broker has answered for 42 s" }, { word: "results_wait", why: "…" }];
  assert.equal(say.verdict({ ...calm, ready: false, reasons }), "Not ready: no broker, results wait.");
  assert.equal(say.verdict({ ...calm, notes: [{ word: "restoring", why: "17 offsets" }] }), "Ready, with something to know:");
  const held = { ...calm, violations: { HIGH: row({ held: 3 }), LOW: row({ held: 1 }) } };
  assert.equal(say.verdict(held), "Ready; violations are held for a person.");
  assert.equal(say.heldCount(held), 4);
  assert.deepEqual([calm, held, { ...calm, notes: [{}] }, { ...calm, ready: false }].map(say.calm), [true, false, false, false]);
});

test("the oldest of all severities is named with its severity", () => {
  const oldest = (violationId, since) => row({ oldest: { violationId, messageId: "m", since } });
  assert.equal(say.oldest(calm), null);
  const seen = { violations: { CRITICAL: oldest("new", 900), LOW: oldest("old", 100), HIGH: row() } };
  assert.deepEqual(say.oldest(seen), { severity: "LOW", violationId: "old", messageId: "m", since: 100 });
});

test("of the times to revoke the worst is shown first", () => {
  const took = (p99Ms) => row({ toRevoked: { calls: 1, p50Ms: 1, p99Ms, lastAt: 0 } });
  assert.equal(say.slowest(calm), null);
  const slowest = say.slowest({ violations: { CRITICAL: took(5), LOW: took(50), HIGH: row() } });
  assert.deepEqual([slowest.severity, slowest.p99Ms], ["LOW", 50]);
});

test("an app says why it is stopped and since when", () => {
  const app = { waitsFor: null, since: null, callsInFlight: 0, breaker: "closed" };
  assert.equal(say.standing(app, 0), "idle");
  assert.equal(say.standing({ ...app, callsInFlight: 2 }, 0), "calling");
  assert.equal(say.standing({ ...app, waitsFor: "paused by the settings" }, 0), "paused by the settings");
  assert.equal(say.standing({ ...app, waitsFor: "refused", since: 0 }, 60_000), "refused (for 1 min)");
  assert.equal(say.appsTold([]), "No app has had a call yet.");
  assert.match(say.appsTold([app, { ...app, waitsFor: "x" }]), /^2 apps, 1 of them stopped\./);
});

test("an app whose calls get nowhere is not called idle", () => {
  const app = { waitsFor: null, since: null, callsInFlight: 0, breaker: "open" };
  assert.equal(say.standing(app, 0), "not answered, probed");
  assert.equal(say.standing({ ...app, breaker: "opening", callsInFlight: 2 }, 0), "answered again, calling ever more");
  assert.equal(say.standing({ ...app, waitsFor: "paused by the settings" }, 0), "paused by the settings");
  assert.deepEqual(["closed", "open", "opening"].map((breaker) => say.stopped({ ...app, breaker })), [false, true, false]);
});

test("an app's limit is what is set, or what was learned where that is less", () => {
  const limit = (devicesPerSecond, learnedDevicesPerSecond) => say.limit({ devicesPerSecond, learnedDevicesPerSecond });
  assert.equal(limit(0, 0), "none set");
  assert.equal(limit(3_000, 0), `3${NARROW}000`);
  assert.equal(limit(3_000, 4_000), `3${NARROW}000`);
  assert.equal(limit(3_000, 2_400.4), `2${NARROW}400, learned`);
  assert.equal(limit(0, 2_400.4), `2${NARROW}400, learned`);
});

test("shards that need a look stand first", () => {
  const shards = [shard(0), shard(1, { unread: 5 }), shard(2, { restoring: 9 }), shard(3, { unread: 50 })];
  assert.deepEqual(say.byNeed(shards).map((each) => each.partition), [2, 3, 1, 0]);
  assert.deepEqual(shards.map((each) => each.partition), [0, 1, 2, 3], "what was given stays as it is");
  const seen = { at: 0, retentionMs: HOUR, partitions: 12, shards };
  assert.equal(say.shardsTold(seen), "4 of 12 shards here; 55 records unread; 1 still read their past.");
  assert.equal(say.shardsTold({ ...seen, shards: [shard(0)] }), "1 of 12 shards here; 0 records unread; the past is read.");
});

test("how far the past is read is told against retention", () => {
  const seen = { at: 100 * HOUR, retentionMs: 72 * HOUR };
  assert.equal(say.readBackTold(shard(0).sends, seen), "all of retention");
  assert.equal(say.readBackTold({ restoring: 5, readBackTo: null }, seen), "not known yet");
  assert.equal(say.readBackTold({ restoring: 5, readBackTo: 82 * HOUR }, seen), "18 h, 25 %");
  assert.equal(say.readBackTold({ restoring: 5, readBackTo: 1 * HOUR }, seen), "3 d, 100 %");
  const restore = { remaining: 12_000, recordsPerSecond: 600, leftSeconds: 20, readBackTo: 99 * HOUR };
  assert.equal(say.restoreTold("sends", restore, seen.at), `sends: 12${NARROW}000 still to read at 600/s, about 20 s left; read back 1 h`);
  const unknown = { remaining: 1, recordsPerSecond: 0, leftSeconds: null, readBackTo: null };
  assert.equal(say.restoreTold("results", unknown, seen.at), "results: 1 still to read at 0/s");
});

test("approving a held violation: how many devices, whose, and how long at least", () => {
  const held = { tokensOpen: 6_000, apps: ["a"] };
  const apps = [{ clientId: "a", devicesPerSecond: 1_000 }, { clientId: "b", devicesPerSecond: 2_000 }, { clientId: "c", devicesPerSecond: 0 }];
  const devices = `6${NARROW}000 devices`;
  assert.equal(say.approving(held, apps), `Approving revokes up to ${devices} of app a, in 6.0 s at least at this instance's limits.`);
  assert.match(say.approving({ ...held, apps: ["a", "b"] }, apps), /of apps a, b, in 2\.0 s at least/);
  assert.equal(say.approving({ ...held, apps: ["a", "c"] }, apps), `Approving revokes up to ${devices} of apps a, c.`);
  assert.equal(say.approving({ tokensOpen: 1, apps: [] }, apps), "Approving revokes up to 1 device.");
});

test("a page of one instance among several says so", () => {
  const seen = { groupId: "unpush", version: "1", dryRun: false, shards: [shard(0)], partitions: 1 };
  assert.equal(say.who(seen), "group unpush, version 1");
  assert.equal(say.who({ ...seen, partitions: 12 }), "group unpush, version 1, this instance with 1 of 12 shards");
  assert.equal(say.who({ ...seen, dryRun: true }), "group unpush, version 1, dry run: no calls");
});

test("a held violation says what is known of it", () => {
  const held = { messageId: "m", severity: "HIGH", detectedAt: 0, detector: null, reason: "", tokensOpen: 1, apps: [] };
  assert.equal(say.heldWhy(held, 60_000), "Message m · HIGH, found 1 min ago");
  const told = { ...held, detector: "d", reason: "spam", heldFor: "too many" };
  assert.equal(say.heldWhy(told, 60_000), "Message m · HIGH, found 1 min ago by d · spam · too many");
  assert.equal(say.heldTold({ ...calm, held: [] }), "Nothing is held.");
  const some = { ...calm, held: [], shards: [shard(0)], partitions: 12 };
  assert.equal(say.heldTold(some), "Nothing is held here, of 1 of 12 shards; the other instances show theirs.");
  assert.equal(say.heldTold({ violations: { HIGH: row({ held: 1 }) }, held: [held] }), "1 violation waits for a person's word:");
  assert.match(say.heldTold({ violations: { HIGH: row({ held: 300 }) }, held: [held] }), /^300 violations wait .*; the first 1 of them:$/);
});

test("what could not be read is counted, with its reasons", () => {
  assert.equal(say.deadLetters({ deadLetters: {} }), 0);
  assert.equal(say.deadLettersTold({ deadLetters: {} }), "every record could be read");
  const seen = { deadLetters: { wire_format: 1_200, key: 1 } };
  assert.equal(say.deadLetters(seen), 1_201);
  assert.equal(say.deadLettersTold(seen), `wire_format 1${NARROW}200, key 1`);
});

test("a command is safe to paste, whatever an id holds", () => {
  assert.equal(say.command("approve", "v-1:2"), "unpush approve -c unpush.toml v-1:2");
  assert.equal(say.command("approve", "x; rm -rf ~"), "unpush approve -c unpush.toml 'x; rm -rf ~'");
  assert.equal(say.command("approve", "it's $(id)"), `unpush approve -c unpush.toml 'it'\\''s $(id)'`);
  assert.equal(say.command("withdraw", "--all"), "unpush withdraw -c unpush.toml -- '--all'");
  assert.equal(say.command("approve", "你好"), "unpush approve -c unpush.toml '你好'");
  for (const id of ["a\nb", "a\u001b[2J", "a\u202eb", "a\u2028b", "a\u200bb", "cut…", "\ud800"]) assert.equal(say.command("approve", id), null, id);
  assert.match(say.commandsTold("v"), /^unpush approve .* v {3}or {3}unpush withdraw .* v$/);
  assert.match(say.commandsTold("a\nb"), /^Its id holds characters/);
});

test("whatever an id holds it can be asked for, and a link to it leads back to it", () => {
  for (const id of ["v1", "a/b?c#d", "50%", "你好 ü", "a\nb", "__proto__", "<b>"]) {
    for (const kind of ["violations", "messages"]) {
      assert.deepEqual({ ...say.asked(say.link(kind, id)) }, { kind, id });
      assert.equal(decodeURIComponent(say.address(kind, id).split("/")[3].split("?")[0]), id);
    }
  }
  assert.equal(say.address("violations", "a/b", "m&1"), "/api/violations/a%2Fb?follow=1&messageId=m%261");
  assert.equal(say.address("messages", "a/b", "m"), "/api/messages/a%2Fb?follow=1");
  for (const hash of ["", "#main", "#violations/", "#else/1", "#violations/%E0%A4%A"]) assert.equal(say.asked(hash), null, hash);
});

test("events are found in whatever pieces they come", () => {
  const stream = 'retry: 2000\n\ndata: {"a":1}\n\n: nothing\n\ndata: {"b":"\u00fc"}\n\ndata: x\ndata: y\n\ndata: never';
  const wanted = ['{"a":1}', '{"b":"ü"}', "x\ny"];
  for (let size = 1; size <= stream.length; size += 1) {
    const events = new say.Events();
    const found = [];
    for (let at = 0; at < stream.length; at += size) found.push(...events.take(stream.slice(at, at + size)));
    assert.deepEqual(found, wanted, `pieces of ${size}`);
  }
});

test("it tries again ever later, but within a quarter of a minute", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 50].map((failures) => say.againMs(failures, 1)), [1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
  assert.equal(say.againMs(0, 0), 500);
});

test("what is lost is said, and of when what is still shown is", () => {
  assert.equal(say.failed(new TypeError("Failed to fetch")), "the service does not answer");
  assert.equal(say.failed(new Error("odd")), "odd");
  assert.equal(say.lostTold("the service does not answer", "12:00:01"), "Not connected: the service does not answer. What follows is of 12:00:01.");
  assert.equal(say.lostTold("why", null), "Not connected: why.");
});

test("results are told by what came of them, the most frequent first", () => {
  assert.equal(say.resultsTold({ results: {} }), "No result since the start.");
  assert.equal(say.resultsTold({ results: { FAILED: 2, ALREADY_REVOKED: 30 } }), "Since the start: 30 already revoked, 2 failed.");
  assert.equal(say.detailTold({ tokensRejected: 0, detail: null, attempts: 1 }), "");
  assert.equal(say.detailTold({ tokensRejected: 2, detail: "expired", attempts: 3 }), "2 tokens rejected; expired; 3 attempts");
  assert.deepEqual([say.countedAgo({ at: 9_000, countedAt: 8_000 }), say.countedAgo({ at: 19_000, countedAt: 8_000 })], ["", "Counted 11 s ago."]);
  assert.equal(say.callsWaiting({ lanes: { HIGH: 2, LOW: 3 }, retriesWaiting: 4 }), "5 wait, 4 to be tried again");
});

test("each state has its words, and a state of a later version none", () => {
  for (const state of ["waiting", "active", "held", "settled", "withdrawn"]) assert.match(say.stateTold(state), /\.$/);
  assert.equal(say.stateTold("parked"), "");
  assert.equal(say.countedTold({ counted: true }), "");
  assert.match(say.countedTold({ counted: false }), /five seconds/);
});
