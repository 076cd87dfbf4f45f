// For the two Express peers: the vendor's hosts are dialled at UPSTREAM_PORT of this machine. Names, SNI and the check
// of certificates stay those of the hosts.
const tls = require('tls');

const HOSTS = new Set(['api-sr.amplitude.com', 'sr-client-cfg.amplitude.com']);
const connect = tls.connect;

tls.connect = (options, ...others) => {
  if (!HOSTS.has(options.host)) return connect(options, ...others);
  const servername = options.servername || options.host;
  return connect({ ...options, servername, host: '127.0.0.1', port: Number(process.env.UPSTREAM_PORT) }, ...others);
};
