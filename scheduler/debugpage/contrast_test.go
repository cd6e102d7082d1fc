package debugpage_test

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/scheduler/debugpage"
)

// luminance is the relative luminance of a colour such as #1b1f24, by WCAG 2.
func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	rgb, err := strconv.ParseUint(colour[1:], 16, 24)
	require.NoError(t, err)
	linear := func(shift uint) float64 {
		c := float64(rgb>>shift&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(16) + 0.7152*linear(8) + 0.0722*linear(0)
}

// Text has a contrast of 4.5 at least on what it stands on, and what is drawn one of 3
// beside it, both in the light and in the dark.
func TestContrast(t *testing.T) {
	css := get(t, newPage(t, debugpage.Config{State: cluster(t)}), "page.css").Body.String()
	light, rest, found := strings.Cut(css, "@media (prefers-color-scheme: dark)")
	require.True(t, found)
	dark, _, _ := strings.Cut(rest, "\n")
	for scheme, text := range map[string]string{"light": light, "dark": dark} {
		colours := make(map[string]string)
		for _, match := range regexp.MustCompile(`--(\w+): (#[0-9a-f]{6});`).FindAllStringSubmatch(text, -1) {
			colours[match[1]] = match[2]
		}
		holds := func(least float64, a, b string) {
			require.Contains(t, colours, a)
			require.Contains(t, colours, b)
			high, low := luminance(t, colours[a]), luminance(t, colours[b])
			if high < low {
				high, low = low, high
			}
			require.GreaterOrEqual(t, (high+0.05)/(low+0.05), least, "%s: %s on %s", scheme, a, b)
		}
		for _, ink := range []string{"ink", "quiet", "link", "bad", "good"} {
			holds(4.5, ink, "paper")
			holds(4.5, ink, "soft")
		}
		for _, drawn := range []string{"used", "held", "shut", "bad"} {
			holds(3, drawn, "paper")
		}
		holds(3, "used", "free")
	}
	require.Empty(t, regexp.MustCompile(`[^-]color: #`).FindAllString(css, -1), "no colour but those")
}
