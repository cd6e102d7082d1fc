package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// asMember in the environment makes the test binary the program itself, so that
// tests can start it in processes of its own.
const asMember = "ELECTION_TEST_AS_MEMBER"

func TestMain(m *testing.M) {
	if os.Getenv(asMember) != "" {
		main()
	}
	os.Exit(m.Run())
}

// The demonstration tells this story, whoever wins.
func TestDemo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), nil, &out))
		story := regexp.MustCompile(`(?s)leads with term 1\n` +
			`.*--- . is killed\n.*leads with term 2\n` +
			`.*--- . hands over to .\n.*leads no more.*leads with term 3\n` +
			`.*--- . is cut off from the others\n.*leads no more.*leads with term 4\n` +
			`.*--- the cut is mended\n.*follows .*the end\n`)
		require.Regexp(t, story, out.String())
	})
}

func TestDemoInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, run(ctx, nil, io.Discard), context.DeadlineExceeded)
	})
}

func TestMistakes(t *testing.T) {
	const listen, peers, data = "-listen=127.0.0.1:0", "-peers=a=127.0.0.1:0", "-data=/dev/null/none"
	tests := []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"unknown flag", []string{"-nonsense"}, 2, "flag provided but not defined: -nonsense (-help lists the flags)"},
		{"argument without a flag", []string{listen, "demo"}, 2, `what is "demo"?`},
		{"nothing but an address", []string{listen}, 2, "-peers is missing\n-data is missing"},
		{"no address", []string{peers, data}, 2, "-listen is missing"},
		{"peers without addresses", []string{listen, data, "-peers=a,b"}, 2, `"a" is not name=address`},
		{"peer without a port", []string{listen, data, "-peers=a=host"}, 2, "missing port"},
		{"peer with an impossible port", []string{listen, data, "-peers=a=x:99999"}, 2, "-peers: address 99999: invalid port"},
		{"peer without a name", []string{listen, data, "-peers==127.0.0.1:0"}, 2, "-peers: "},
		{"address without a port", []string{"-listen=here", data, "-peers=a=x:1", "-id=a"}, 2, "-listen: address here: missing port"},
		{"status without a port", []string{listen, data, peers, "-http=here"}, 2, "-http: address here: missing port"},
		{"peer named twice", []string{listen, data, "-peers=a=127.0.0.1:0,a=x:1"}, 2, `"a"`},
		{"not among the peers", []string{listen, data, "-peers=a=x:1"}, 2, "does not name this member"},
		{"another name than the peers'", []string{listen, data, peers, "-id=b"}, 2, `does not name this member, by -id "b"`},
		{"no time", []string{listen, data, peers, "-timeout=-1s"}, 2, "-timeout -1s is not above 0"},
		{"too much time", []string{listen, "-data=" + t.TempDir(), peers, "-timeout=9h"}, 2, "election timeout"},
		{"no time at all", []string{listen, data, peers, "-timeout=soon"}, 2, `invalid value "soon"`},
		{"a third of TLS", []string{listen, data, peers, "-tls-ca=x"}, 2, "go together"},
		{"directory that cannot be made", []string{listen, data, peers}, 1, "/dev/null"},
		{
			"no such certificate",
			[]string{listen, "-data=" + t.TempDir(), peers, "-tls-cert=x", "-tls-key=x", "-tls-ca=x"},
			1, "no such file",
		},
		{"address of nobody here", []string{"-listen=192.0.2.1:1", "-data=" + t.TempDir(), "-peers=a=192.0.2.1:1"}, 1, "listen"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := run(t.Context(), tt.args, io.Discard)
			require.ErrorContains(t, err, tt.want)
			require.Equal(t, tt.status, exitStatus(err))
		})
	}
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-help"}, &out))
	require.Contains(t, out.String(), "-tls-cert file")
}
