/**
 * The frequency of this machine's time stamp counter, by which an emulated guest tells the time. The guest's kernel measures it as it
 * begins, in some milliseconds; on a machine that has much else to do it may come out as a twentieth. Then a second in the guest lasts
 * 50 ms, and the kernel complains of stalls that there were not. So what one guest has measured over a whole second is told to the next.
 */
import {readFileSync} from 'node:fs';
import type {Cache} from './cache.js';

interface Record {
  /** The answer holds until the machine boots anew. */
  boot: string;
  khz: number;
}

export function knownFrequency(cache: Cache): number | undefined {
  try {
    const {boot, khz} = JSON.parse(readFileSync(pathIn(cache), 'utf8')) as Record;
    return boot === thisBoot() ? khz : undefined;
  } catch {
    return undefined;
  }
}

export function noteFrequency(cache: Cache, log: string): void {
  const khz = measuredFrequency(log);
  if (khz !== undefined && knownFrequency(cache) === undefined) {
    cache.writeJson(pathIn(cache), {boot: thisBoot(), khz} satisfies Record);
  }
}

/** The kernel prints it only if it agrees with its first, hasty measurement within one per cent. */
export function measuredFrequency(log: string): number | undefined {
  const megahertz = /tsc: Refined TSC clocksource calibration: (\d+\.\d+) MHz/.exec(log)?.[1];
  return megahertz === undefined ? undefined : Math.round(Number(megahertz) * 1000);
}

const pathIn = (cache: Cache): string => cache.path('tsc.json');

const thisBoot = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
