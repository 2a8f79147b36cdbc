/** The kernels that the runner knows: where Debian has them, what the guest needs to boot, what a module build needs. */

/** A part of a Debian release: its backports, its main archive with updates and security, or the main archive alone. */
export interface Suite {
  release: string;
  part: 'backports' | 'updated' | 'main';
}

export interface KernelKind {
  /** What --kernel takes. */
  name: string;
  suite: Suite;
  /** The metapackages whose dependencies name the current kernel and its headers. */
  packages: readonly [image: string, headers: string];
  /** Modules of the initramfs: virtio, 9p and overlay, as far as they are not built in. */
  bootModules: readonly string[];
  /** What make needs besides, on a machine with another compiler than the kernel's. */
  makeArguments: readonly string[];
  /** The release whose libc kbuild's own programs ask for, when this machine's is older. */
  kbuildLibc?: string;
}

const VIRTIO = ['virtio_pci', 'virtio_console'];
const FILES = ['9pnet_virtio', '9p', 'overlay'];

interface Version {
  version: string;
  suite: Suite;
  bootModules: readonly string[];
  makeArguments: readonly string[];
  kbuildLibc?: string;
}

const VERSIONS: readonly Version[] = [
  {
    version: '5.10',
    suite: {release: 'bullseye', part: 'updated'},
    bootModules: [...VIRTIO, ...FILES],
    makeArguments: [],
  },
  {
    version: '6.1',
    suite: {release: 'bookworm', part: 'updated'},
    bootModules: [...VIRTIO, ...FILES],
    makeArguments: [],
  },
  {
    version: '6.12',
    suite: {release: 'bookworm', part: 'backports'},
    bootModules: [...VIRTIO, ...FILES],
    // BTF would need pahole and a vmlinux; a module works without.
    makeArguments: ['CONFIG_DEBUG_INFO_BTF_MODULES='],
  },
  {
    version: '7.x',
    suite: {release: 'trixie', part: 'backports'},
    bootModules: [...VIRTIO, ...FILES],
    // gcc 12 does not know -fmin-function-alignment.
    makeArguments: ['CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT=', 'CONFIG_DEBUG_INFO_BTF_MODULES='],
    kbuildLibc: 'trixie',
  },
];

export const KERNELS: readonly KernelKind[] = VERSIONS.flatMap(({version, ...rest}) =>
  (['', 'rt-'] as const).map((flavour) => ({
    ...rest,
    name: flavour === '' ? version : `${version}-rt`,
    packages: [`linux-image-${flavour}amd64`, `linux-headers-${flavour}amd64`] as const,
  })),
);

export const DEFAULT_KERNEL = '6.1';

/** Not stock kernels: they are built here, to find what a stock kernel does not see. `kcsan` finds data races. */
export const DEBUG_KERNEL = 'debug';
export const KCSAN_KERNEL = 'kcsan';
export const BUILT_KERNELS = [DEBUG_KERNEL, KCSAN_KERNEL] as const;

/** All that --kernel knows by name. */
export const KERNEL_NAMES: readonly string[] = [...KERNELS.map(({name}) => name), ...BUILT_KERNELS, 'host'];

export function findKernelKind(name: string): KernelKind | undefined {
  return KERNELS.find((kernel) => kernel.name === name);
}

/** modprobe resolves dependencies of these; a kernel that has one built in does not list it. */
export const BOOT_MODULES: readonly string[] = [...VIRTIO, ...FILES];
