/** What was. */
export const old = (): number => Math.hypot(3, 4);
