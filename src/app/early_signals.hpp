// Signals between the start of main() and the moment the server's own handlers take over. Nothing
// has been promised to anybody until then, so a request to stop is obeyed on the spot, however long
// start-up takes: L1 of a large machine is mapped and locked for minutes.
#pragma once

namespace lmcache::app {

/// SIGINT and SIGTERM end the process with exit code 0 until other handlers replace these. SIGHUP
/// waits for admit_hangups(): there may be no log yet to open anew. Called by the main thread
/// before any other starts.
void obey_early_signals() noexcept;

/// A SIGHUP that has waited arrives now, as do later ones; its handler must be there. Called by the
/// main thread.
void admit_hangups() noexcept;

}  // namespace lmcache::app
