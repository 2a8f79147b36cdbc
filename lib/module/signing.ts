/** A kernel that loads signed modules only: how that shows, and the way past it. */
import {existsSync} from 'node:fs';

/** Where dkms keeps the certificate of the key that it signs with: its own place, and Ubuntu's. */
const CERTIFICATES = ['/var/lib/shim-signed/mok/MOK.der', '/var/lib/dkms/mok.pub'];

/** What modprobe and insmod say when the signature was the matter: EKEYREJECTED, ENOKEY, and EPERM of lockdown. */
export function isSignatureRefusal(complaint: string): boolean {
  return /Key was rejected by service|Required key not available|Loading of unsigned module/.test(complaint);
}

/** What to do. */
export function signingRemedy(certificates: readonly string[] = CERTIFICATES): string {
  const certificate = certificates.find((path) => existsSync(path));
  return certificate === undefined
    ? 'install with dkms, which signs (`sudo npx framevec module install`), and enrol its key with mokutil; or turn Secure Boot off in the firmware'
    : `dkms has signed it; enrol its key: \`mokutil --import ${certificate}\`, reboot, choose "Enroll MOK", then \`modprobe framevec\``;
}
