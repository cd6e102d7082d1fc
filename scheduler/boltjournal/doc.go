// Package boltjournal keeps the journal of a scheduler in one directory of the
// local disk: the default for a service that runs on one host and is restarted
// there. [Open] returns a [Journal], which implements [scheduler.Journal].
//
//	journal, err := boltjournal.Open("/var/lib/service/journal", boltjournal.Config{})
//	if err != nil {
//		return err
//	}
//	defer journal.Close()
//	s, err := scheduler.Open(ctx, scheduler.Config{Journal: journal})
//
// The records lie in a file of go.etcd.io/bbolt, a B+tree with copied pages:
// a transaction is there as a whole or not at all, whenever the process or
// the machine stops.
//
// # One host, one process
//
// The file is locked while it is open, and the lock goes with the process
// that holds it, however it ends. A second process gets [ErrLocked], or waits
// for [Config.LockWait]. A process that is paused (a debugger, SIGSTOP, a frozen
// container) keeps the lock and blocks its successor until it goes on or is
// killed. Where a successor must not wait, or runs on another host, use
// scheduler/sqljournal on PostgreSQL, or scheduler/etcdjournal. Do not put the
// directory on a network file system whose locks end at the host.
//
// The directory is locked as well, where the system can lock one (not Windows,
// Solaris, AIX): a file that is moved away takes its lock along, and a second
// process would begin an empty journal in its place. An append also looks,
// before it returns, whether the path still names the file. If the file was
// moved, removed or replaced, the append returns a [MovedError], and so does
// everything after it. To copy or restore the file, stop the service first.
//
// Tokens fence as in every journal: several schedulers of one process may
// share a Journal, and only the one that acquired it last can append.
//
// # Permissions
//
// Open makes the directory with mode 0700 and the file with 0600. It refuses a
// file that everybody may write with an [ExposedError], except on Windows. It does
// not judge a directory that exists: volumes of containers are often writable by
// everybody.
//
// # Durability
//
// An append that has returned nil has been synced to the disk. Callers of a
// scheduler share appends, and so share syncs. A transaction costs two syncs,
// of the pages and of the page that makes them count.
//
// A scheduler appends a snapshot in parts of half a megabyte, each in a
// transaction of its own, so that entries are appended in between; it counts from
// the last part on, and then what it replaces is deleted in steps. The file does
// not shrink, its free pages are used again.
//
// When an append fails on its way to the disk its outcome is unknown, and the
// journal refuses everything from then on, with the same error. Open tells
// the outcome.
//
// # Damage
//
// Every record carries a CRC-32C checksum, and so does the page that says what
// there is. Open reads the whole file, with code of its own that trusts no byte
// of it, before bbolt maps it, and Records checks each record again. What is
// damaged is a [CorruptError] that names the place; nothing is skipped, repaired
// or written then. So is a file that has become shorter while it is open, and a
// page that the disk does not give: neither ends the process. A file of a later
// format is a [FormatVersionError].
//
// # Concurrency
//
// A Journal is safe for concurrent use. Appends and acquisitions happen one
// after the other; waiting for the one before ends with the context. Reading
// blocks no append: it sees the records that were there when it began.
//
// # What it does not do
//
// It does not copy itself to another host, and it does not compress or
// encrypt.
package boltjournal
