/** Client of the Anabranch HTTP API. README.md shows how to begin. */
export { Client, type ClientOptions } from './client.js';
export { type BulkOptions, type BulkResult } from './bulk.js';
export { Namespace, type BatchOp, type Condition, type ConflictedObject, type ExportedOp, type Key, type KeyOptions, type SyncOptions } from './namespace.js';
export { Counter, Bounded, Flag, List, Presence, Register, Map, Set, type Action, type Announcement, type BoundedState, type Item, type Lifetime, type ListAction, type ListPlace, type MapOp, type RegisterState } from './objects.js';
export { type Change, type ChangesOptions } from './changes.js';
export { type CallOptions, type Json, type LifetimeOptions, type WriteOptions } from './request.js';
export { isProblem, Problem, type ProblemBody, type ProblemKind } from './problem.js';
export { type BatchResult } from './result.js';
export { Session } from './session.js';
export { type Integer } from './number.js';
export type { components, operations, paths } from './schema.js';
