/** The value of a counter: a number while every reader is exact, up to ±(2^53−1), and a bigint beyond. */
export type Integer = number | bigint;

/** Reads an integer as the API writes it: a string of digits beyond 2^53−1. */
export function readInteger(value: number | string): Integer {
  return typeof value === 'string' ? BigInt(value) : value;
}

/** Writes an integer as the API takes it. It throws a RangeError for a number that is none. */
export function writeInteger(value: Integer): number | string {
  if (typeof value === 'bigint') return value.toString();
  if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is no exact integer: write a bigint`);
  return value;
}
