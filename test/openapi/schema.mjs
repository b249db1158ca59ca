// What the description says of values: a validator for every place in it, and generators of values.
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import fc from 'fast-check';

export class Schemas {
  #doc;
  #ajv = new Ajv2020({ strict: false, allErrors: false });
  #compiled = new Map();
  #sets = new Map();

  constructor(doc) {
    this.#doc = doc;
    addFormats(this.#ajv);
    this.#ajv.addSchema(doc, 'openapi.json');
  }

  // resolve follows references.
  resolve(value) {
    while (value?.$ref) value = this.at(value.$ref.slice(2).split('/').map(unescapePointer));
    return value;
  }

  at(path) {
    return path.reduce((value, name) => value?.[name], this.#doc);
  }

  // errors holds a value against the schema at a path of the document: a text, or undefined.
  errors(path, value) {
    const ref = 'openapi.json#/' + path.map(escapePointer).join('/');
    let validate = this.#compiled.get(ref);
    if (!validate) {
      validate = this.#ajv.compile({ $ref: ref });
      this.#compiled.set(ref, validate);
    }
    return validate(value) ? undefined : this.#ajv.errorsText(validate.errors);
  }

  // valid generates values that the schema at a path takes.
  valid(path) {
    return this.#generate(this.at(path)).filter((value) => this.errors(path, value) === undefined);
  }

  // takesAll tells that there is no value that the schema at a path refuses.
  takesAll(path) {
    const { type, oneOf, anyOf } = this.resolve(this.at(path));
    return !type && !oneOf && !anyOf;
  }

  // invalid generates values that it does not take: valid ones with one thing changed.
  invalid(path) {
    return fc.tuple(this.valid(path), fc.nat(), strange).map(([value, where, other]) => change(value, where, other))
      .filter((value) => this.errors(path, value) !== undefined);
  }

  #generate(schema) {
    schema = this.resolve(schema);
    for (const keyword of Object.keys(schema)) {
      if (!known.has(keyword)) throw new Error(`the generator does not know the keyword ${keyword}`);
    }
    if (schema.enum) return fc.constantFrom(...schema.enum);
    const choices = schema.oneOf ?? schema.anyOf;
    if (choices && !schema.properties) return fc.oneof(...choices.map((s) => this.#generate(s)));
    const type = [].concat(schema.type ?? 'any');
    return fc.oneof(...type.map((t) => this.#ofType(t, schema)));
  }

  #ofType(type, schema) {
    switch (type) {
      case 'any': return fc.jsonValue({ maxDepth: 3 });
      case 'null': return fc.constant(null);
      case 'boolean': return fc.boolean();
      case 'string': return text(schema);
      case 'integer': return integer(schema);
      case 'array': return fc.array(this.#generate(schema.items), { minLength: schema.minItems ?? 0, maxLength: Math.min(schema.maxItems ?? 5, 5) });
      case 'object': return this.#object(schema);
    }
    throw new Error(`the generator does not know the type ${type}`);
  }

  // setsOf lists the sets of members that the rules of an object ask for, and those of one member.
  #setsOf(schema, names) {
    if (!this.#sets.has(schema)) {
      const all = [...memberSets(schema), ...names.map((n) => [n])].map((set) => [...new Set(set)].sort().join());
      const distinct = [...new Set(all)].map((set) => new Set(set.split(',').filter(Boolean)));
      this.#sets.set(schema, distinct.filter((set) => holds(schema, set)));
    }
    return this.#sets.get(schema);
  }

  // object generates the members of one of the sets that the rules ask for, and now and then some others.
  #object(schema) {
    const names = Object.keys(schema.properties ?? {});
    if (names.length === 0) return fc.dictionary(name, fc.jsonValue({ maxDepth: 3 }), { maxKeys: 4 });
    const fits = (set) => holds(schema, set);
    const sets = this.#setsOf(schema, names);
    const others = fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.subarray(names, { maxLength: Math.min(2, names.length) }) });
    return fc.tuple(fc.constantFrom(...sets), others).chain(([set, more]) => {
      const both = new Set([...set, ...more]);
      const members = [...(fits(both) ? both : set)];
      return fc.record(Object.fromEntries(members.map((n) => [n, itemMembers.has(n) ? someItem : this.#generate(schema.properties[n])])));
    });
  }
}

// Members that name an item of a list. Whoever sends the value puts ids that are there in their place.
const itemMembers = new Set(['item', 'after', 'before']);
const someItem = fc.nat(15).map((n) => `item${n}`);

const known = new Set(['$ref', 'type', 'description', 'title', 'default', 'examples', 'format', 'enum', 'oneOf', 'anyOf', 'allOf', 'properties', 'required',
  'additionalProperties', 'propertyNames', 'dependentRequired', 'items', 'minItems', 'maxItems', 'minLength', 'maxLength', 'minimum', 'maximum', 'pattern', 'minProperties', 'maxProperties']);

// memberSets lists sets of members that a schema may ask for: what is required, with one choice of each
// oneOf, anyOf and part of allOf. Not all of them need fit together.
function memberSets(schema) {
  let sets = [schema.required ?? []];
  const choose = (choices) => { sets = sets.flatMap((set) => choices.map((more) => [...set, ...more])); };
  for (const choices of [schema.oneOf, schema.anyOf]) {
    if (choices) choose(choices.flatMap(memberSets));
  }
  for (const part of schema.allOf ?? []) choose(memberSets(part));
  return sets;
}

// holds tells whether the rules of a schema about which members there are hold for a set of them.
function holds(schema, set) {
  const has = (names) => names.every((n) => set.has(n));
  return has(schema.required ?? [])
    && (!schema.oneOf || schema.oneOf.filter((s) => holds(s, set)).length === 1)
    && (!schema.anyOf || schema.anyOf.some((s) => holds(s, set)))
    && (schema.allOf ?? []).every((s) => holds(s, set))
    && !(schema.not && holds(schema.not, set))
    && Object.entries(schema.dependentRequired ?? {}).every(([n, needs]) => !set.has(n) || has(needs))
    && set.size >= (schema.minProperties ?? 0) && set.size <= (schema.maxProperties ?? Infinity);
}

// name generates names: common ones, so that requests meet, and strange ones.
export const name = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('a', 'b', 'visits', 'cart') },
  { weight: 1, arbitrary: fc.constantFrom('.', '..', '/', '%2F', '\u0000', ' ', '+', '\u{1F600}', '{key}', 'é'.repeat(500), '\ufffd') },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }) },
);

function text(schema) {
  if (schema.format === 'date-time') return fc.integer({ min: 2000, max: 2100 }).map((year) => `${year}-01-02T03:04:05Z`);
  if (schema.pattern) return fc.stringMatching(new RegExp(schema.pattern)).filter((s) => s.length < 200);
  if (schema.minLength === 1 && schema.maxLength === 1024) return name;
  return fc.string({ unit: 'binary', minLength: schema.minLength ?? 0, maxLength: Math.min(schema.maxLength ?? 30, 30) });
}

function integer(schema) {
  const min = schema.minimum ?? Number.MIN_SAFE_INTEGER;
  const max = schema.maximum ?? Number.MAX_SAFE_INTEGER;
  const small = fc.integer({ min: Math.max(min, -3), max: Math.min(max, 1000) });
  return fc.oneof({ weight: 3, arbitrary: small }, { weight: 1, arbitrary: fc.maxSafeInteger().filter((n) => n >= min && n <= max) });
}

const strange = fc.oneof(fc.constantFrom(null, true, false, 0, -1, 1.5, '', 'x', [], {}, [[]], [null], { unknown: 1 }, 'x'.repeat(1025)), fc.jsonValue({ maxDepth: 2 }));

// change puts `other` in place of one node of a value, or adds a member that nobody knows.
function change(value, where, other) {
  const nodes = [];
  const walk = (v, set) => {
    nodes.push(set);
    if (Array.isArray(v)) v.forEach((x, i) => walk(x, (y) => { v[i] = y; }));
    else if (v !== null && typeof v === 'object') {
      for (const k of Object.keys(v)) walk(v[k], (y) => { v[k] = y; });
      nodes.push((y) => { v.unknown = y; });
    }
  };
  const holder = { value: structuredClone(value) };
  walk(holder.value, (y) => { holder.value = y; });
  nodes[where % nodes.length](other);
  return holder.value;
}

const escapePointer = (s) => encodeURIComponent(String(s).replaceAll('~', '~0').replaceAll('/', '~1'));
const unescapePointer = (s) => decodeURIComponent(s).replaceAll('~1', '/').replaceAll('~0', '~');
