package logline

import (
	"bytes"
	"time"
)

func (p *Parser) location() *time.Location {
	if p.Location == nil {
		return time.Local
	}
	return p.Location
}

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

// firstYear is before all logs.
const firstYear = 1970

// short reads "Nov  2 08:00:15". The year is the last in which it is no later
// than Latest, a day for clocks that differ left aside.
func (p *Parser) short(b []byte) (time.Time, bool) {
	i := bytes.Index([]byte(months), b[:3])
	day := two(b[4:6])
	hour, minute, second := two(b[7:9]), two(b[10:12]), two(b[13:15])
	if i < 0 || i%3 != 0 || day < 1 || day > 31 || b[9] != ':' || b[12] != ':' ||
		hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60 {
		return time.Time{}, false
	}
	month := time.Month(i/3 + 1)
	latest := p.Latest.Add(ahead)
	// Eight years hold a 29 February, also about 2100.
	for year := latest.In(p.location()).Year(); year > latest.Year()-9; year-- {
		at := time.Date(year, month, day, hour, minute, second, 0, p.location())
		if at.After(latest) || at.Month() != month && !(second == 60) {
			continue
		}
		return at, true
	}
	return time.Time{}, false
}

// two reads two digits, the first of which may be a blank; -1 is neither.
func two(b []byte) int {
	if b[0] == ' ' {
		b = []byte{'0', b[1]}
	}
	if !digit(b[0]) || !digit(b[1]) {
		return -1
	}
	return int(b[0]-'0')*10 + int(b[1]-'0')
}

// long reads a time of RFC 3339, with zones as journalctl has them too: +0900.
func (p *Parser) long(b []byte) (time.Time, bool) {
	if len(b) > len(p.iso) || len(b) < 19 {
		return time.Time{}, false
	}
	if p.isoLen == len(b) && bytes.Equal(b, p.iso[:len(b)]) {
		return p.isoTime, true
	}
	layout := "2006-01-02T15:04:05Z07:00" // takes fractions
	if n := len(b); (b[n-5] == '+' || b[n-5] == '-') && digit(b[n-1]) && digit(b[n-3]) {
		layout = "2006-01-02T15:04:05Z0700"
	}
	at, err := time.Parse(layout, string(b))
	if err != nil {
		if at, err = time.ParseInLocation("2006-01-02T15:04:05", string(b), p.location()); err != nil {
			return time.Time{}, false
		}
	}
	if at.Year() < firstYear {
		return time.Time{}, false
	}
	p.isoLen, p.isoTime = copy(p.iso[:], b), at
	return at, true
}
