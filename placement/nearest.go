package placement

import "strings"

// meant returns ` (did you mean "NAME"?)` with the known name that another one is most
// likely meant to be, or nothing if it is like none.
func meant(name string, known []string) string {
	best, least := "", 0
	for _, k := range known {
		if d, near := distance(name, k); near && (best == "" || d < least) {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return ` (did you mean "` + best + `"?)`
}

// distance returns how far a name is from a known one, and whether that is near: it
// differs in capitals, one begins like the other, or there is a slip in every three
// letters at most.
func distance(name, known string) (d int, near bool) {
	a, b := strings.ToLower(name), strings.ToLower(known)
	switch {
	case a == b:
		return 0, true
	case len(a) > 2*len(b)+8: // nor is it worth to count
		return 0, false
	case len(a) >= 3 && strings.HasPrefix(b, a), len(b) >= 3 && strings.HasPrefix(a, b):
		return 1, true
	}
	d = slips(a, b)
	return d, d <= max(1, len(b)/3)
}

// slips counts the letters to insert, delete, replace or swap with the next to turn one
// text into another: the distance of optimal string alignment.
func slips(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1) // two rows up, and one
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			replaced := last[j]
			if a[i] != b[j] {
				replaced++
			}
			row[j+1] = min(replaced, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
