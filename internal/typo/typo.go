// Package typo finds the word that was meant when another was written.
package typo

import "strings"

// maxWord bounds the words that are compared: no key or command is longer.
const maxWord = 64

// Nearest returns the word that differs least from s, "" when none is near: at
// most a third of its letters are wrong, missing, too many or swapped with
// their neighbour. Of equally near ones it returns the first. Failing that, it
// returns the only one that s begins, or that begins with s.
func Nearest(s string, words []string) string {
	if len(s) > maxWord {
		return ""
	}
	best, least := "", max(1, len(s)/3)+1
	for _, w := range words {
		if n := distance(s, w); n < least {
			best, least = w, n
		}
	}
	if best != "" || len(s) < 3 {
		return best
	}
	for _, w := range words {
		if !strings.HasPrefix(w, s) && !(len(w) >= 3 && strings.HasPrefix(s, w)) {
			continue
		}
		if best != "" {
			return ""
		}
		best = w
	}
	return best
}

// distance is the number of letters that differ (Damerau and Levenshtein, each
// pair of neighbours swapped at most once).
func distance(a, b string) int {
	if len(b) > maxWord {
		return maxWord
	}
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			wrong := 1
			if a[i-1] == b[j-1] {
				wrong = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+wrong)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
