// Package journaltest checks that a [scheduler.Journal] keeps the contract
// that a scheduler relies on. A service that writes its own journal describes it
// in a [Config] and calls [Run] from a test:
//
//	func TestConformance(t *testing.T) {
//		journaltest.Run(t, journaltest.Config{
//			New: func(tb testing.TB) func() scheduler.Journal {
//				dir := tb.TempDir() // Whatever keeps one journal.
//				return func() scheduler.Journal { return open(tb, dir) }
//			},
//		})
//	}
//
// Each case is a subtest named after the rule that it checks; a failure, and go test
// -v, print that rule. With [Config.Stall] Run also has the store stop answering in the
// middle of an append. With [Config.Command] it kills and pauses other processes that
// have the journal open. With [Config.Cut] it has connections fall silent. It also
// follows a journal that is a [scheduler.FollowableJournal]. [RunElector] checks an
// elector in the same way.
//
// # The contract in short
//
// A journal is a list of records and one number, the highest token that was
// acquired. Acquire raises the number; Append adds to the list if its token
// is that number, all of the records or none, in one atomic step; Records
// gives the newest snapshot and every entry after it. A snapshot may come in
// parts, and counts with the last of them. All of it is there again after a
// restart, byte for byte.
//
// # Concurrency
//
// Run uses its journals from several goroutines at once, as the contract
// allows; run it with the race detector too. It has no time limits of its own but
// [Config.TakeOver]: a call that never returns is stopped by the -timeout of go test.
// It writes up to 60 MB.
//
// # What it does not do
//
// It does not test the store itself: whether what was appended survives a crash of the
// machine, a full disk or a flipped bit.
package journaltest
