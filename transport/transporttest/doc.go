// Package transporttest checks that a [transport.Transport] keeps the
// contract of package transport. A service that writes its own transport calls
// [Run] from a test, with a [Config] that says how to make it:
//
//	func TestConformance(t *testing.T) {
//		transporttest.Run(t, transporttest.Config{
//			Network: func(tb testing.TB, names []string) func(name string) transport.Transport {
//				network := newNetwork(names) // Whatever connects the members.
//				return network.join          // Makes one member's transport.
//			},
//		})
//	}
//
// Each case is a subtest named after the rule that it checks; a failure, and
// go test -v, print that rule. The package example is a complete transport,
// small enough to read, that passes.
//
// The checks wait for what must happen, up to 30 s each, look out for what
// must not for 0.3 s, and assert no other timing. They count goroutines, so
// they must not run in parallel with other tests.
//
// # Concurrency
//
// Run uses its transports from many goroutines at once, as the contract
// allows; run it with the race detector too.
//
// # What it does not do
//
// It cannot tell whether a name is authenticated against an attacker, what a
// transport does in a network that fails, or how fast it is.
package transporttest
