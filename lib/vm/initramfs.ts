/** The initramfs: busybox, the modules for virtio, 9p and overlay, and an init that makes the machine's root the guest's. */
import {createHash} from 'node:crypto';
import {readFileSync, writeFileSync} from 'node:fs';
import {basename, join} from 'node:path';
import {gzipSync} from 'node:zlib';
import type {Cache} from './cache.js';
import {cpio, type Entry} from './cpio.js';
import {VmError} from './errors.js';
import {BOOT_FAILED, GUEST} from './guest.js';
import type {Kernel} from './kernel.js';
import {BOOT_MODULES} from './kernels.js';
import {findStaticBusybox, must, run} from './programs.js';
import type {Progress} from './progress.js';

const APPLETS = ['sh', 'mount', 'mkdir', 'cp', 'insmod', 'sleep', 'switch_root'];

/**
 * The upper half of the overlay is memory, so a guest can write anywhere and the machine keeps nothing of it. PID 1 itself
 * changes the root: from a child's chroot the kernel's own request for a module would look for modprobe in the initramfs.
 */
const INIT = `#!/bin/sh
fail() {
  echo "${BOOT_FAILED}$1" >/dev/kmsg
  # Some kernels print from a thread.
  sleep 1
  echo b >/proc/sysrq-trigger
  sleep 10
}
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do
  complaint=$(insmod "/modules/$module" 2>&1) || fail "the module $module did not load: \${complaint##*: }"
done </modules/order
mount -t 9p -o ro,${GUEST.mountOptions},cache=loose ${GUEST.rootTag} /lower || fail "this machine's files could not be mounted"
mount -t tmpfs -o mode=755 upper /upper
mkdir /upper/data /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work overlay /root || fail 'the overlay could not be mounted'
mkdir -p /root/proc /root/sys /root/dev /root/run
mount -t tmpfs -o mode=755 run /root/run
mkdir -p /root${GUEST.share}
mount -t 9p -o ${GUEST.mountOptions},cache=none ${GUEST.shareTag} /root${GUEST.share} || fail "the run's directory could not be mounted"
cp /bin/busybox /root${GUEST.busybox}
mount -o move /proc /root/proc
mount -o move /sys /root/sys
mount -o move /dev /root/dev
exec switch_root /root ${GUEST.busybox} sh ${GUEST.share}/init
`;

export async function makeInitramfs(cache: Cache, progress: Progress, kernel: Kernel): Promise<string> {
  const busybox = findStaticBusybox();
  if (busybox === undefined) {
    throw new VmError('a static busybox is missing; install the package busybox-static');
  }
  const program = readFileSync(busybox);
  const key = createHash('sha256').update(kernel.id).update(program).update(INIT).update(BOOT_MODULES.join()).digest('hex');
  const directory = await cache.entry(cache.path('initramfs', `${kernel.release}-${key.slice(0, 16)}`), (temporary) =>
    progress.step(`make the initramfs of ${kernel.release}`, async () => {
      const paths = await bootModules(kernel);
      const modules = await Promise.all(paths.map(async (path) => ({name: basename(path).replace(/\.ko.*$/, '.ko'), data: await readModule(path)})));
      const archive = cpio([
        ...['bin', 'dev', 'proc', 'sys', 'modules', 'lower', 'upper', 'root'].map((path): Entry => ({path, type: 'directory'})),
        {path: 'dev/console', type: 'character', mode: 0o600, device: [5, 1]},
        {path: 'dev/null', type: 'character', mode: 0o666, device: [1, 3]},
        {path: 'bin/busybox', type: 'file', data: program},
        ...APPLETS.map((name): Entry => ({path: `bin/${name}`, type: 'link', mode: 0o777, data: 'busybox'})),
        ...modules.map(({name, data}): Entry => ({path: `modules/${name}`, type: 'file', mode: 0o644, data})),
        {path: 'modules/order', type: 'file', mode: 0o644, data: modules.map(({name}) => `${name}\n`).join('')},
        {path: 'init', type: 'file', data: INIT},
      ]);
      writeFileSync(join(temporary, 'initramfs'), gzipSync(archive, {level: 1}));
    }),
  );
  return join(directory, 'initramfs');
}

/** In the order of loading. What a kernel has built in, or has not at all, is left out: the init says what failed. */
async function bootModules(kernel: Kernel): Promise<string[]> {
  const paths = new Set<string>();
  for (const name of BOOT_MODULES) {
    const {stdout} = await run('modprobe', ['-d', kernel.modulesRoot, '-S', kernel.release, '--show-depends', name]);
    for (const [, path = ''] of stdout.matchAll(/^insmod (\S+)/gm)) {
      paths.add(path);
    }
  }
  return [...paths];
}

/** busybox's insmod takes no packed module. Unpacking keeps the signature, which stripping would not. */
async function readModule(path: string): Promise<Buffer> {
  const packer = {'.xz': 'xz', '.zst': 'zstd', '.gz': 'gzip'}[/\.(xz|zst|gz)$/.exec(path)?.[0] ?? ''];
  if (packer === undefined) {
    return readFileSync(path);
  }
  return Buffer.from(await must(`unpacking ${basename(path)}`, packer, ['-dc', path], {encoding: 'latin1'}), 'latin1');
}
