/** Debian's browser, of .ci/packages chromium. */
import {chromium, type Browser} from 'playwright-core';

/** It has no sandbox for root. */
export function launch(): Promise<Browser> {
  return chromium.launch({executablePath: '/usr/bin/chromium', chromiumSandbox: process.getuid?.() !== 0});
}
