// The vendor's published Node.js recipe ("Self-host Session Replay"). Put in: where to listen, TLS beside it, no chatter.
const fs = require('fs');
const https = require('https');
const express = require('express');
const { createProxyMiddleware } = require('http-proxy-middleware');

const app = express();

// Proxy replay data to Amplitude
app.use('/sessions', createProxyMiddleware({
  target: 'https://api-sr.amplitude.com',
  changeOrigin: true,
  secure: true,
  logLevel: 'silent',
  onProxyReq: (proxyReq, req, res) => {
    proxyReq.setHeader('Host', 'api-sr.amplitude.com');
  }
}));

// Proxy remote configuration requests
app.use('/config', createProxyMiddleware({
  target: 'https://sr-client-cfg.amplitude.com',
  changeOrigin: true,
  secure: true,
  logLevel: 'silent',
  onProxyReq: (proxyReq, req, res) => {
    proxyReq.setHeader('Host', 'sr-client-cfg.amplitude.com');
  }
}));

app.listen(process.env.PORT, '127.0.0.1');
https.createServer({ cert: fs.readFileSync(process.env.CERT), key: fs.readFileSync(process.env.KEY) }, app)
  .listen(process.env.TLS_PORT, '127.0.0.1');
