/** What shall be better. */
export const renewed = (): number => 5;
