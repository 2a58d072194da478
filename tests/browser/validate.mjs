// SPDX-License-Identifier: MIT
// validate.mjs FILE...: checks each file against the JSON schema that speedscope ships; prints {file: [violations]}.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(process.env.BUILD + "/node/package.json");
const Ajv = require("ajv");
const schemaPath = process.env.BUILD + "/node/node_modules/speedscope/dist/release/file-format-schema.json";
const validate = new Ajv({ strict: false }).compile(JSON.parse(readFileSync(schemaPath, "utf8")));

const found = {};
for (const file of process.argv.slice(2)) {
  validate(JSON.parse(readFileSync(file, "utf8")));
  found[file] = (validate.errors ?? []).slice(0, 5).map((error) => error.instancePath + " " + error.message);
}
console.log(JSON.stringify(found));
