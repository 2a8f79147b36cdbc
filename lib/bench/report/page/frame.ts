/** What all charts have in common. */

/** A chart, or nothing where the choice has nothing to draw. */
export type Drawn = Element | undefined;

export const FRAME = {
  marginRight: 24, marginTop: 28, marginBottom: 42,
  style: {fontSize: '12px', fontFamily: 'inherit', background: 'transparent', overflow: 'visible'},
} as const;

/** Of what appears at the pointer. */
export const TIP = {lineHeight: 1.35, textPadding: 10} as const;
