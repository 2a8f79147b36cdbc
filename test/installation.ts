/**
 * A VM in which the module can be installed as a user would: the packed package, installed by npm, and the dkms, udev and depmod of this
 * machine's Debian. The guest boots without the module.
 */
import {execFileSync, spawnSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import type {ExecutionContext} from 'ava';
import {PACKAGE_ROOT} from '../lib/package.js';
import {Cache, cacheDirectory} from '../lib/vm/cache.js';
import {PackageSource} from '../lib/vm/packages.js';
import {Progress} from '../lib/vm/progress.js';

const MAIN = fileURLToPath(new URL('../lib/cli/main.js', import.meta.url));

/** What runs here was perhaps started by make and npm; what is started here is not theirs. */
export const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(npm_|MAKE|MFLAGS|NODE_OPTIONS|AVA_)/i.test(name)));

/** dkms and udev of the Debian that runs here, with the library of udev's own version. */
async function packages(cache: Cache): Promise<string[]> {
  const release = /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown';
  const path = await cache.entry(cache.path('packages', `dkms-udev-${release}`), async (temporary) => {
    const source = new PackageSource(cache, new Progress(undefined), {release, part: 'updated'});
    await source.update();
    for (const name of ['dkms', 'udev', 'libudev1']) await source.download({name}, temporary);
  });
  return readdirSync(path).map((name) => join(path, name));
}

/**
 * The guest unpacks the packages without their scripts: dpkg itself would take six minutes under emulation. `step NAME COMMAND` leaves
 * what the command printed, and its status, in $FRAMEVEC_RUN; `all` lists where an installation may write.
 */
const preamble = (debs: readonly string[]): string => `
for deb in ${debs.join(' ')}; do
  dpkg-deb --fsys-tarfile "$deb" | tar -x -C / --keep-directory-symlink || exit 1
done
mkdir -p /var/lib/dkms /etc/udev/rules.d
# depmod reads every module there is, twice: two minutes each under emulation. These few are enough.
modules=/lib/modules/$(uname -r)
small=/var/tmp/modules/$(uname -r)
mkdir -p "$small/kernel/drivers/media"
cp -a "$modules"/modules.* "$modules/build" "$small"
cp -a "$modules/kernel/drivers/media/test-drivers" "$small/kernel/drivers/media"
mount -o bind /var/tmp/modules /lib/modules
depmod
/usr/lib/systemd/systemd-udevd --daemon
framevec=node_modules/.bin/framevec
# The rest of the machine is another's, and may change meanwhile.
all() { find /etc/udev /etc/modprobe.d /etc/modules-load.d /usr/src /var/lib/dkms /lib/modules ! -name 'modules.*' ! -name 'mok.*' | sort; }
step() {
  name=$1; shift
  "$@" >"$FRAMEVEC_RUN/$name.out" 2>"$FRAMEVEC_RUN/$name.err"
  echo $? >"$FRAMEVEC_RUN/$name.status"
}
# Of the cache, too, which may be in a home that is nobody else's.
above=$PWD
until [ "$above" = / ]; do chmod a+rx "$above"; above=$(dirname "$above"); done
`;

interface Step {
  status: number;
  stdout: string;
  stderr: string;
}

export class Installation {
  private readonly cache = new Cache(cacheDirectory());
  /** An empty project that has the package; /tmp and /run may be other file systems in the guest, the cache is not. */
  readonly directory: string;

  constructor() {
    mkdirSync(this.cache.directory, {recursive: true});
    this.directory = mkdtempSync(join(this.cache.directory, 'install-'));
  }

  remove(): void {
    rmSync(this.directory, {recursive: true, force: true});
  }

  /** Packs and installs the package, and runs the script in the guest. */
  async run(t: ExecutionContext, script: string): Promise<void> {
    const {directory} = this;
    const debs = await packages(this.cache);
    t.true(debs.some((deb) => deb.includes('/dkms_')) && debs.some((deb) => deb.includes('/udev_')), debs.join());
    const [{filename}] = JSON.parse(execFileSync('npm', ['pack', '--json', '--pack-destination', directory], {cwd: PACKAGE_ROOT, env: environment, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe']})) as [{filename: string}];
    writeFileSync(join(directory, 'package.json'), '{"name": "user", "private": true}\n');
    writeFileSync(join(directory, 'script'), preamble(debs) + script);
    execFileSync('npm', ['install', '--ignore-scripts', `./${filename}`], {cwd: directory, env: environment, stdio: ['ignore', 'ignore', 'pipe']});
    const vm = spawnSync(process.execPath, [MAIN, 'vm', '--no-module', '--quiet', '--timeout', '3600', '--out', join(directory, 'out'), '--', 'sh', 'script'], {cwd: directory, env: environment, encoding: 'utf8'});
    t.is(vm.status, 0, `${vm.stdout}${vm.stderr}`);
  }

  /** A file that the script left in $FRAMEVEC_RUN. */
  read(name: string): string {
    return readFileSync(join(this.directory, 'out', name), 'utf8');
  }

  step(name: string): Step {
    return {status: Number(this.read(`${name}.status`)), stdout: this.read(`${name}.out`), stderr: this.read(`${name}.err`)};
  }

  /** What a step printed that has to have succeeded. */
  succeeded(t: ExecutionContext, name: string): string {
    const {status, stdout, stderr} = this.step(name);
    t.is(status, 0, `${name}: ${stdout}${stderr}`);
    return stdout;
  }
}
