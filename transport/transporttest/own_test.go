package transporttest_test

import (
	"testing"

	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/transporttest"
)

func TestOwnTransport(t *testing.T) {
	transporttest.Run(t, transporttest.Config{
		Network: func(testing.TB, []string) func(string) transport.Transport {
			board := &Switchboard{lines: map[string]*Line{}}
			return func(name string) transport.Transport { return board.Join(name) }
		},
	})
}
