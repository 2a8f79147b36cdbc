/** Whether a frame is worth stopping for. */
export const interesting = (bytes: Uint8Array): boolean => bytes.some(byte => byte !== 0);
