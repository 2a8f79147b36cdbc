/** What the tests' VM has besides, as arguments of `framevec vm`. */

/**
 * Devices that are not ours, so that what framevec says of their memory can be held against what they say. The text cursor does not
 * blink: each time, cirrus-vga takes its memory out of the address space and puts it back, and QEMU before 8.2 then may lose another
 * processor's write to a device. A guest whose end of a timer interrupt was lost hung; most likely so.
 */
export const DEVICES: readonly string[] = [
  '--qemu', '-object memory-backend-ram,id=iv,size=16M,share=on -device ivshmem-plain,memdev=iv -object memory-backend-ram,id=random,size=1M,share=on -device ivshmem-plain,memdev=random -device pci-testdev,membar=16M -device cirrus-vga -device e1000e',
  '--with', 'cirrusfb',
  '--append', 'secretmem.enable=1 memmap=16M!768M vt.global_cursor_default=0',
];

/** Video capture and output: of one plane, of many, and of a kind that takes no pointers of the user. */
export const VIDEO: readonly string[] = ['--with', 'vivid,n_devs=3,node_types=0x101,0x101,0x101,multiplanar=1,2,1,allocators=0,0,1'];

/** What the benchmark's peers need beside those; the sanitizing kernels have no RDMA. */
export const PEERS: readonly string[] = ['--with', 'rdma_rxe', '--with', 'ib_uverbs'];
