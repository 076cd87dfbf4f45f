// Bundles one page script per SDK flavour: pages/<flavour>.js becomes build/<flavour>.js.
import { build } from "esbuild";

const FLAVOURS = ["standalone-1.50.2", "standalone-1.28.12", "plugin"];

await build({
  entryPoints: FLAVOURS.map((flavour) => ({ in: `pages/${flavour}.js`, out: flavour })),
  absWorkingDir: import.meta.dirname,
  outdir: "build",
  bundle: true,
  minify: true,
  format: "iife",
  target: "chrome110",
  define: { "process.env.NODE_ENV": '"production"' },
  logLevel: "warning",
});
