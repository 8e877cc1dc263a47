// Reads docs/asyncapi.yaml as AsyncAPI's own tools do, the Avro files behind its references included.
// Exit 1, with a line each, where they find anything, warnings too.
import { fromFile, Parser } from "@asyncapi/parser";
import { AvroSchemaParser } from "@asyncapi/avro-schema-parser";

const SERIOUS = ["error", "warning"];

const parser = new Parser({ schemaParsers: [AvroSchemaParser()] });
const { document, diagnostics } = await fromFile(parser, process.argv[2]).parse();
for (const each of diagnostics) {
  console.log(`${SERIOUS[each.severity] ?? "hint"}: ${each.path.join(".")}: ${each.message}`);
}
const topics = document?.channels().all().map((channel) => channel.address()) ?? [];
console.log(`${topics.length} topics: ${topics.join(", ")}`);
process.exit(document && diagnostics.every((each) => each.severity >= SERIOUS.length) ? 0 : 1);
