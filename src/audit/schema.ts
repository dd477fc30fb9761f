import type { DatabaseSync } from 'node:sqlite';
import { AuditFailure } from './failure.ts';

/**
 * The schema, step by step: `user_version` counts the steps a store has taken. A step is never changed once it was
 * released; what is new is a step of its own.
 *
 * A segment is a stretch of the trail that is kept and deleted as one. What many events share (who called, what,
 * and what decided) is a row that they refer to; no two segments share one, so that a segment goes with all its rows.
 * Ids of every table grow with time, and a segment's are those up to its last that are not of one before. Times are nanoseconds since 1970, or milliseconds where the name says so.
 */
export const STEPS: readonly string[] = [
  `CREATE TABLE segment (
     id INTEGER PRIMARY KEY,
     opened_ms INTEGER NOT NULL,
     events INTEGER NOT NULL DEFAULT 0,
     bytes INTEGER NOT NULL DEFAULT 0,
     last_seq INTEGER NOT NULL DEFAULT 0,
     last_ms INTEGER NOT NULL DEFAULT 0,
     last_decision INTEGER NOT NULL DEFAULT 0,
     last_destination INTEGER NOT NULL DEFAULT 0,
     last_process INTEGER NOT NULL DEFAULT 0
   ) STRICT;
   CREATE TABLE run (
     id INTEGER PRIMARY KEY,
     ulid TEXT NOT NULL UNIQUE,
     host TEXT NOT NULL,
     deployment TEXT,
     policy TEXT,
     mode TEXT,
     labels TEXT,
     command TEXT,
     engine TEXT,
     started INTEGER NOT NULL,
     ended INTEGER,
     summary INTEGER,
     events INTEGER NOT NULL DEFAULT 0,
     calls INTEGER NOT NULL DEFAULT 0,
     denials INTEGER NOT NULL DEFAULT 0,
     would_deny INTEGER NOT NULL DEFAULT 0,
     first_time INTEGER,
     last_time INTEGER,
     last_seq INTEGER NOT NULL
   ) STRICT;
   CREATE INDEX run_started ON run(started);
   CREATE TABLE decision (
     id INTEGER PRIMARY KEY,
     kind TEXT NOT NULL,
     verdict TEXT,
     deployment TEXT,
     body TEXT NOT NULL
   ) STRICT;
   CREATE TABLE destination (
     id INTEGER PRIMARY KEY,
     service TEXT,
     body TEXT NOT NULL
   ) STRICT;
   CREATE TABLE process (
     id INTEGER PRIMARY KEY,
     parent INTEGER,
     pid INTEGER,
     program TEXT NOT NULL,
     body TEXT NOT NULL
   ) STRICT;
   CREATE TABLE event (
     seq INTEGER PRIMARY KEY,
     id TEXT NOT NULL UNIQUE,
     time INTEGER NOT NULL,
     run INTEGER NOT NULL,
     decision INTEGER NOT NULL,
     destination INTEGER,
     process INTEGER,
     count INTEGER,
     duration_us REAL,
     outcome TEXT,
     rest TEXT
   ) STRICT;
   CREATE INDEX event_time ON event(time);
   CREATE INDEX event_destination ON event(destination, decision, run, time, count, duration_us);
   CREATE TRIGGER event_append_only BEFORE UPDATE ON event
     BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;`,
];

/** Brings a store up to this program's schema, each step whole or not at all. Two at once do it once. */
export function migrate(db: DatabaseSync, steps: readonly string[] = STEPS): void {
  for (;;) {
    if (versionOf(db) === steps.length) return;
    db.exec('BEGIN IMMEDIATE');
    try {
      const version = versionOf(db);
      checkVersion(version, steps.length);
      const step = steps[version];
      if (step !== undefined) db.exec(`${step}; PRAGMA user_version = ${version + 1}`);
      db.exec('COMMIT');
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK');
      throw error;
    }
  }
}

/** How many steps the store has taken. */
export function versionOf(db: DatabaseSync): number {
  return Number(db.prepare('PRAGMA user_version').get()?.user_version);
}

/** Throws AuditFailure `store-newer` for a store this program is too old for. */
export function checkVersion(version: number, known: number = STEPS.length): void {
  if (version > known)
    throw new AuditFailure(
      'store-newer',
      `the store has schema ${version}, and this program knows ${known}`,
      'use the version of Acyclic that made it, or a later one',
    );
}
