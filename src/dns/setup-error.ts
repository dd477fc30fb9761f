/** Why the proxy cannot start. */
export class DnsSetupError extends Error {
  readonly code: 'dns-not-loopback' | 'dns-no-server' | 'dns-own-server' | 'dns-bind';

  constructor(code: DnsSetupError['code'], message: string) {
    super(message);
    this.name = 'DnsSetupError';
    this.code = code;
  }
}
