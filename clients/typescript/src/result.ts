import { readInteger, type Integer } from './number.js';
import type { components } from './schema.js';

/** What an op answers: a counter's value, what changed in a set, the ids of new items of a list, or nothing. */
export interface BatchResult {
  value?: Integer;
  rights?: Integer;
  added?: number;
  removed?: number;
  inserted?: string[];
}

/** Reads what an op answers. */
export function readResult({ value, rights, added, removed, inserted }: components['schemas']['OpResult']): BatchResult {
  return {
    ...(value === undefined ? {} : { value: readInteger(value) }),
    ...(rights === undefined ? {} : { rights: readInteger(rights) }),
    ...(added === undefined ? {} : { added }),
    ...(removed === undefined ? {} : { removed }),
    ...(inserted === undefined ? {} : { inserted }),
  };
}
