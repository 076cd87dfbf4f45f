"""replay-gateway: a first-party reverse proxy for session-replay traffic.

The path of a request
---------------------
1.  accept    `worker` hands each accepted connection to an `edge.connection.ClientConnection`, after its TLS handshake
              (`runtime.accepting`, `edge.arrival`). `edge.room` says who has to go when there is no room for all.
2.  parse     It finds the head, `wire.referee` (llhttp, strict) judges it, `wire.request` reads it.
3.  admit     `policy.admission` composes routing, origins, keys, rates and region into one verdict:
              an Admit with its Target, or a Reason. Preflights are answered on the spot.
4.  rewrite   `policy.headers` makes the head for the upstream with one join.
5.  acquire   `edge.track` (uploads) or `edge.config` (configuration) asks `upstream.pool` for a connection.
6.  send      Body bytes go from `edge.connection` to `upstream.connection` as they come, with flow control.
7.  receive   `upstream.connection` reads the answer under the same referee.
8.  relay     The answer goes back with the CORS fields of `policy.origins`. Once its head is out, a failure
              cuts the connection: a truncated answer is never made to look complete.
9.  record    `exchange` ends with exactly one `model.record.Record`; `observe` counts and logs it.

The copy for the archive
------------------------
`edge.track` shows each piece of an upload to `spool.tee`. Once it is whole `spool.writer`, a thread, appends it to a
*segment*, a file of *frames* (`spool.segment`). A full segment is *sealed*; the `archiver`, a process of its own, makes
an object of it (`archive.seal`) and brings it into the store (`archive.uploader`). Nothing of this can hold up a
request; what is dropped is counted, and a *gap* in the archive.

Promises: what the client is told with 2xx, the vendor has answered so. Every answer can be read by the
asking browser. Bodies, codings, lengths and query strings pass byte for byte. A request of one region
never goes to another region's upstream.

Layers, from the top; each may use those below it, none those above or beside it:
`cli` | `supervisor`, `worker`, `archiver` | `edge`, `admin`, `archive`, `doctor`, `export` | `upstream`, `spool` |
`runtime`, `observe` | `exchange` | `policy` | `settings`, `wire` | `model`. `standin`, the stand-in vendor, stands
apart. `doctor` asks as others would and is on nobody's path: what it sends and how it judges has no part in the above.
Pure, without I/O or clock: `model`, `wire`, `settings.schema`, `policy`, `exchange`, `spool.segment`,
`archive.naming`, `archive.line`, `export` (the settings in other servers' languages).

Words: *client* and *upstream* are the two sides (an "origin" is only ever the CORS field). A *request* and
its *answer* are an *exchange*; each has a *head* and a *body*. A *verdict* admits or *rejects* (we chose);
a *failure* is something that broke. A *route* is track or config; a *target* is a region's upstream for a
route; a *peer identity* is what makes two connections interchangeable. A *record* with its *outcome* is what
remains of a request. To *drain* is to finish what is in hand and take nothing new.
"""
