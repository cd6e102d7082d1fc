package placement_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// mistakesOf returns what is wrong, each as "FIELD: REASON".
func mistakesOf(err error) []string {
	var all []string
	for _, wrong := range parts(err) {
		all = append(all, wrong.Field+": "+wrong.Reason)
	}
	return all
}

func TestADecodedRequestTellsEveryMistake(t *testing.T) {
	body := `{
		"id": "", "id": "b", "prioriy": 3, "priority": 1.5, "duration": "soon", "yield": "no",
		"resources": {"cpus": 4, "memory": "8Gb", "gpu": -1, "custom": {"tape": true, "cpu": 1}},
		"labels": {"a.b": 1, "c": "d"}, "ports": [80, "99999/tcp", "53/udp"], "dynamicPorts": -1,
		"preferences": {"strategy": "foo", "required": ["a =", "b = c", 7], "tolerations": {},
			"spread": [{"topology": "zone", "targets": {"x": "all"}, "weight": 101}]}
	}`
	req := placement.Request{ID: "before"}
	err := placement.DecodeJSON([]byte(body), &req)
	require.ErrorIs(t, err, placement.ErrInvalid)
	require.Equal(t, placement.Request{ID: "before"}, req, "an error changes nothing")
	require.Equal(t, []string{
		`id: given twice`,
		`prioriy: no such field (did you mean "priority"?)`,
		`priority: want an integer from -2147483648 to 2147483647`,
		`duration: want a duration such as "1h30m", or nanoseconds`,
		`yield: want true or false`,
		`resources.cpus: no such dimension (did you mean "cpu"?); custom ones stand under custom`,
		`resources.custom.tape: want an integer, or text with a unit`,
		`resources.memory: unknown unit`,
		`resources.gpu: negative`,
		`resources.custom: the name is reserved`,
		`labels["a.b"]: want text`,
		`ports[1]: want a number from 1 to 65535`,
		`preferences.strategy: want one of binpack, spread, random, affinity, leastfragmentation`,
		`preferences.required[0]: want a value`,
		`preferences.required[2]: want text`,
		`preferences.tolerations: want a list`,
		`preferences.spread[0].targets["x"]: want an integer from -9223372036854775808 to 9223372036854775807`,
		`id: empty`,
		`dynamicPorts: want 0 to 1024, with the other ports`,
		`preferences.spread[0].weight: want 1 to 100, or 0 for a hard rule`,
		`preferences.spread[0].selector: nothing to count: want a selector here or a group of the request`,
	}, mistakesOf(err))
}

func TestADecodedBody(t *testing.T) {
	type names struct {
		Who string `json:"who"`
	}
	type body struct {
		names
		Request *placement.Request           `json:"request"`
		Nodes   []placement.Node             `json:"nodes,omitempty"`
		At      time.Time                    `json:"at"`
		Limits  map[string]map[string]uint16 `json:"limits"`
		Pair    [2]bool                      `json:"pair"`
		Plain   int8
		Any     any `json:"any"`
		Skipped int `json:"-"`
	}
	tests := []struct {
		name, text string
		want       []string
	}{
		{"nothing", `{}`, nil},
		{"all", ` {"who":"x","request":{"id":"a"},"nodes":[{"id":"n"}],"at":"2026-01-02T15:04:05Z","limits":{"a":{"b":65535}},"pair":[true,false],"Plain":-128,"any":[1]} `, nil},
		{"nulls", `{"who":null,"request":null,"nodes":null,"limits":null,"pair":null,"at":null}`, nil},
		{"parts are validated", `{"request":{},"nodes":[{"id":"n"},{"id":"","capacity":{"cpu":-5}}]}`, []string{"request.id: empty", "nodes[1].capacity.cpu: negative", "nodes[1].id: empty"}},
		{"what follows from a part that cannot be read is not told", `{"nodes":[{"id":7,"devices":{"count":"x"}}]}`, []string{"nodes[0].id: want text", "nodes[0].devices.count: want an integer from -9223372036854775808 to 9223372036854775807"}},
		{"out of range", `{"limits":{"a":{"b":65536}},"Plain":128,"pair":[true,false,true],"at":"now"}`, []string{`limits["a"]["b"]: want an integer from 0 to 65535`, "Plain: want an integer from -128 to 127", "pair: want at most 2 elements", "at: want a time such as 2026-01-02T15:04:05Z"}},
		{"other kinds", `{"request":[],"nodes":{},"limits":1}`, []string{"request: want an object", "nodes: want a list", "limits: want an object"}},
		{"names are exact", `{"Who":"x","Skipped":1,"-":1}`, []string{`Who: no such field (did you mean "who"?)`, "Skipped: no such field", "-: no such field"}},
		{"no object", `[]`, []string{": want an object"}},
		{"cut short", `{"who":`, []string{": no JSON: unexpected end of JSON input, at byte 7"}},
		{"more behind it", `{} {}`, []string{": no JSON: invalid character '{' after top-level value, at byte 4"}},
		{"not UTF-8", "{\"who\":\"\xff\"}", []string{": not UTF-8"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var into body
			err := placement.DecodeJSON([]byte(test.text), &into)
			require.Equal(t, test.want, mistakesOf(err))
			if test.want != nil {
				require.Equal(t, body{}, into)
				return
			}
			require.NoError(t, err)
			var plain body
			require.NoError(t, json.Unmarshal([]byte(test.text), &plain))
			require.Equal(t, plain, into)
		})
	}
	require.Error(t, placement.DecodeJSON([]byte(`{}`), body{}), "not a pointer")
	require.Error(t, placement.DecodeJSON([]byte(`{}`), (*body)(nil)))
}

func TestDurationsAreTextOrNanoseconds(t *testing.T) {
	for _, text := range []string{`"90s"`, `"1m30s"`, `90000000000`} {
		var req placement.Request
		require.NoError(t, placement.DecodeJSON([]byte(`{"id":"a","duration":`+text+`}`), &req))
		require.Equal(t, 90*time.Second, req.Duration)
	}
}

func TestMistakesOfABodyAreBounded(t *testing.T) {
	var req placement.Request
	err := placement.DecodeJSON([]byte(`{"ports":[`+strings.Repeat(`"x",`, 9999)+`1]}`), &req)
	require.Len(t, parts(err), 65)
	require.Regexp(t, `and 99\d\d more mistakes$`, err.Error())
	long := `{"id":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`
	require.Less(t, len(placement.DecodeJSON([]byte(long), &req).Error()), 1000, "it shows no more of a value than it has to")
}

func TestWhatWasMeant(t *testing.T) {
	tests := map[string]string{
		"cpus": "cpu", "CPU": "cpu", "mem": "memory", "memroy": "memory", "Memory": "memory", "gpus": "gpu",
		"net": "network", "disc": "disk", "gup": "gpu", "cpu_cores": "cpu", "licence": "", "x": "", "storage": "", strings.Repeat("c", 1000): "",
	}
	for name, want := range tests {
		err := json.Unmarshal([]byte(`{"`+name+`":1}`), new(placement.Resources))
		require.ErrorContains(t, err, "no such dimension")
		if want == "" {
			require.NotContains(t, err.Error(), "did you mean", name)
		} else {
			require.ErrorContains(t, err, `(did you mean "`+want+`"?)`, name)
		}
	}
}

// FuzzDecodeJSON holds DecodeJSON to encoding/json: what it takes that takes too, for the
// same request, but for durations as text.
func FuzzDecodeJSON(f *testing.F) {
	f.Add(`{"id":"a","resources":{"cpu":"500m","custom":{"tape":1}},"labels":{"x":"y"},"ports":[80,"53/udp"]}`)
	f.Add(`{"id":"a","preferences":{"strategy":"spread","required":["a = b"],"spread":[{"topology":"z","targets":{"x":70}}]}}`)
	f.Add(`{"id":"","resources":{"cpus":1},"prioriy":1,"duration":"1h"}`)
	f.Add(`{"id":"a","id":"b"}`)
	f.Fuzz(func(t *testing.T, text string) {
		var strict, plain placement.Request
		err := placement.DecodeJSON([]byte(text), &strict)
		if err == nil {
			require.NoError(t, strict.Validate())
			if strict.Duration == 0 {
				require.NoError(t, json.Unmarshal([]byte(text), &plain))
				require.True(t, plain.Equal(strict))
			}
			return
		}
		require.ErrorIs(t, err, placement.ErrInvalid)
		require.LessOrEqual(t, len(parts(err)), 65)
		require.True(t, placement.Request{}.Equal(strict))
	})
}

func TestLargestDurationIsReadBack(t *testing.T) {
	req := placement.Request{ID: "a", Duration: math.MaxInt64}
	data, err := json.Marshal(req)
	require.NoError(t, err)
	var read placement.Request
	require.NoError(t, placement.DecodeJSON(data, &read))
	require.Equal(t, req, read)
}
