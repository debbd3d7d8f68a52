package message

import (
	"fmt"
	"mime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParseTyped(t *testing.T) {
	type params = map[string]string
	const broken = "not quoted as it should be"
	for _, tt := range []struct {
		value, word string
		params      params
		problem     string // part of it
	}{
		{"text/plain", "text/plain", nil, ""},
		{" TEXT / Plain ; Charset = \"us-ascii\" ", "text/plain", params{"charset": "us-ascii"}, ""},
		{"text/plain (plain text); (a; \"b) charset=(c) us-ascii (Plain \\) text)", "text/plain", params{"charset": "us-ascii"}, ""},
		{"attachment; filename=smime.p7m", "attachment", params{"filename": "smime.p7m"}, ""},
		{"text/plain;;charset=x; ;", "text/plain", params{"charset": "x"}, ""},
		{`a/b; name="a \"quoted\" \\ name; x=y"`, "a/b", params{"name": `a "quoted" \ name; x=y`}, ""},
		{`a/b; name=""`, "a/b", params{"name": ""}, ""},

		// What should be quoted and is not, but ends for everybody alike.
		{"multipart/signed; protocol=application/pkcs7-signature; micalg=sha-256; boundary=----=_a",
			"multipart/signed", params{"protocol": "application/pkcs7-signature", "micalg": "sha-256", "boundary": "----=_a"}, ""},
		{"multipart/mixed; boundary=foo=bar", "multipart/mixed", params{"boundary": "foo=bar"}, ""},
		{"a/b; name=Bericht für Müller.pdf; x=y", "a/b", params{"name": "Bericht für Müller.pdf", "x": "y"}, broken},
		{"a/b; name=picture (1).jpg; x=y", "a/b", params{"name": "picture (1).jpg", "x": "y"}, broken},

		// What can be read in more than one way.
		{"text", "text", nil, ""},
		{"", "", nil, "no type"},
		{"; charset=x", "", nil, "no type"},
		{"text/", "", nil, "no subtype"},
		{"te=xt/plain", "", nil, "no type"},
		{"text/plain charset=x", "text/plain", nil, "more than a type"},
		{"text/plain/x; charset=x", "text/plain", params{"charset": "x"}, "more than a type"},
		{"a/b; charset", "a/b", nil, "without a value"},
		{"a/b; charset; x=y", "a/b", params{"x": "y"}, "without a value"},
		{"a/b; charset=; x=y", "a/b", params{"charset": "", "x": "y"}, broken},
		{"a/b; =x", "a/b", nil, "without a value"},
		{`a/b; x=y; name="open; z=1`, "a/b", params{"x": "y"}, broken},
		{`a/b; name="a" b; x=y`, "a/b", params{"name": `"a" b`, "x": "y"}, broken},
		{`a/b; name=a"b; x=y"; z=1`, "a/b", nil, broken},
		{"a/b; name=c:\\x; z=1", "a/b", nil, broken},
		{"a/b; name=a (b; z=1", "a/b", nil, broken},
		{"a/b; x=1; x=1", "a/b", params{"x": "1"}, "twice"},
		{"a/b; x=1; X=2", "a/b", params{"x": "1"}, "twice"},
		{"a/b; x=\x00", "a/b", params{"x": "\x00"}, "control character"},

		// Boundaries must be certain.
		{"multipart/mixed; boundary=a; boundary=b", "multipart/mixed", nil, "twice"},
		{"multipart/mixed; boundary=a; boundary=a", "multipart/mixed", params{"boundary": "a"}, "twice"},
		{"multipart/mixed; boundary=a b", "multipart/mixed", nil, broken},
		{"multipart/mixed; boundary=\"a\"b", "multipart/mixed", nil, broken},
		{"multipart/mixed; boundary; boundary=b", "multipart/mixed", nil, "without a value"},
		{`multipart/mixed; boundary=a; name="x; boundary=b`, "multipart/mixed", nil, broken},
		{`multipart/mixed; boundary=a; name="x`, "multipart/mixed", params{"boundary": "a"}, broken},
		{`multipart/mixed; name=x y; boundary=a`, "multipart/mixed", params{"boundary": "a", "name": "x y"}, broken},
		{`multipart/mixed; name=x boundary=b; boundary=a`, "multipart/mixed", params{"name": "x boundary=b"}, broken},
		{`multipart/mixed boundary=b; boundary=a`, "multipart/mixed", nil, "more than a type"},
		{"multipart/mixed; boundary=\"a\rb\"", "multipart/mixed", nil, "control character"},

		// RFC 2231.
		{"a/b; name*0=one; name*1=\" two\"; name*2=three", "a/b", params{"name": "one twothree"}, ""},
		{"a/b; name*=utf-8'de'f%C3%BCr", "a/b", params{"name": "für"}, ""},
		{"a/b; name*=ISO-8859-1''f%FCr%", "a/b", params{"name": "für%"}, ""},
		{"a/b; name*=big5''%A4%A4.p7m", "a/b", params{"name": "\uFFFD.p7m"}, ""},
		{"a/b; name*=plain%41", "a/b", params{"name": "plainA"}, ""},
		{"a/b; name*1*=%C3%BC; name*0*=utf-8''x; name*2=%41", "a/b", params{"name": "xü%41"}, ""},
		{"a/b; name=plain; name*=utf-8''better", "a/b", params{"name": "better"}, ""},
		{"a/b; name*0=a; name*2=c", "a/b", params{"name": "a"}, "do not fit"},
		{"a/b; name*1=a", "a/b", nil, "do not fit"},
		{"a/b; name*0=a; name*0*=b", "a/b", params{"name": "a"}, "do not fit"},
		{"a/b; name*=a; name*0=b", "a/b", params{"name": "b"}, "twice"},
		{"multipart/mixed; boundary*0=a; boundary*1=b", "multipart/mixed", params{"boundary": "ab"}, ""},
		{"multipart/mixed; boundary*=''ab", "multipart/mixed", params{"boundary": "ab"}, ""},
		{"multipart/mixed; boundary=a; boundary*0=b", "multipart/mixed", nil, "twice"},
		{"multipart/mixed; boundary*0=a; boundary*2=b", "multipart/mixed", nil, "do not fit"},
	} {
		word, got, problem := parseTyped(tt.value)
		if word != tt.word {
			t.Errorf("%s: word %q, want %q", tt.value, word, tt.word)
		}
		if d := cmp.Diff(tt.params, got, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: parameters (-want +got):\n%s", tt.value, d)
		}
		if !strings.Contains(problem, tt.problem) || tt.problem == "" && problem != "" {
			t.Errorf("%s: problem %q, want %q", tt.value, problem, tt.problem)
		}
	}
}

// TestTooManyParameters: the first thousand are read, and what the rest say is
// in doubt.
func TestTooManyParameters(t *testing.T) {
	numbered := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "; x%d=y", i)
		}
		return b.String()
	}
	const most = 1000
	for _, tt := range []struct {
		name, value string
		params      int
		boundary    string
		problem     string
	}{
		{"as many as there may be", "; boundary=a" + numbered(most-1), most, "a", ""},
		{"and a semicolon behind them", "; boundary=a" + numbered(most-1) + "; ;;", most - 1, "", "too many parameters"},
		{"one more", "; boundary=a" + numbered(most), most - 1, "", "too many parameters"},
		{"another boundary among the rest", "; boundary=a" + numbered(most) + "; boundary=b", most - 1, "", "too many parameters"},
		{"repeated ones", "; boundary=a" + strings.Repeat("; x=y", most), 1, "", `parameter "x" twice`},
		{"those without a value", "; boundary=a" + strings.Repeat("; x", most), 0, "", "a parameter without a value"},
		{"empty ones", "; boundary=a" + strings.Repeat(";", most), 0, "", "too many parameters"},
		{"a name in pieces", "; boundary=a; name*0=x" + strings.ReplaceAll(numbered(most), "; x", "; name*"), 1, "", "name"},
	} {
		word, params, problem := parseTyped("multipart/mixed" + tt.value)
		if word != "multipart/mixed" || len(params) != tt.params || params["boundary"] != tt.boundary {
			t.Errorf("%s: %q with %d parameters, boundary %q", tt.name, word, len(params), params["boundary"])
		}
		if !strings.Contains(problem, tt.problem) || tt.problem == "" && problem != "" {
			t.Errorf("%s: problem %q, want %q", tt.name, problem, tt.problem)
		}
	}
}

// What the standard library reads is read alike, and nothing is read
// differently from one time to the next.
func FuzzParseTyped(f *testing.F) {
	for _, value := range []string{
		"text/plain", "multipart/mixed; boundary=\"a b\"", "a/b; x*0=1; x*1*=%41", "a/b; name=a b (c); d=\"e", "a/b; x*=utf-8''%C3%BC", "a / b;;c = d ;",
	} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		word, params, problem := parseTyped(value)
		for range 3 {
			w, p, q := parseTyped(value)
			if w != word || q != problem || !cmp.Equal(p, params) {
				t.Fatalf("%q: %q %v %q, then %q %v %q", value, word, params, problem, w, p, q)
			}
		}
		if word == "" && (problem == "" || params != nil) {
			t.Fatalf("%q: problem %q, parameters %v", value, problem, params)
		}
		stdWord, stdParams, err := mime.ParseMediaType(value)
		if err != nil || problem != "" || strings.ContainsAny(value, "*%\\") {
			return
		}
		if word != stdWord || !cmp.Equal(params, stdParams, cmpopts.EquateEmpty()) {
			t.Fatalf("%q: %q %v, the standard library says %q %v", value, word, params, stdWord, stdParams)
		}
	})
}

func TestDescribe(t *testing.T) {
	for _, tt := range []struct{ header, want, encoding, malformed string }{
		{"", "text/plain", "", ""},
		{"Content-Type: text\n", "", "", "Content-Type with no subtype"},
		{"Content-Type: text/html\nCONTENT-TYPE: text/plain\n", "text/html", "", "Content-Type more than once"},
		{"Content-Type : text/html\n", "text/html", "", "Content-Type with a blank before the colon"},
		{"Content-Transfer-Encoding: BASE64 (yes)\n", "text/plain", "base64", ""},
		{"Content-Transfer-Encoding:\n", "text/plain", "", "Content-Transfer-Encoding with more than a word"},
		{"Content-Transfer-Encoding: 7bit;\n", "text/plain", "7bit", "Content-Transfer-Encoding with more than a word"},
		{"Content-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: base64\n", "text/plain", "7bit", "Content-Transfer-Encoding more than once"},
		{"Content-Disposition: attachment; filename=a b\n", "text/plain", "", `Content-Disposition with parameter "filename" not quoted as it should be`},
		{"Content-Type: multipart/mixed; boundary=\"a \"\n", "multipart/mixed", "", "a boundary that ends with a blank"},
		{"Content-Type: multipart/mixed; boundary=ä\n", "multipart/mixed", "", "a boundary with characters that must not be in it"},
		{"From somebody\nA: b\n", "text/plain", "", ""},
		{"A: b\nFrom somebody\n", "text/plain", "", "a line in the header that is no field"},
	} {
		h, _, err := parseHeader(tt.header, Limits{}.withDefaults())
		if err != nil {
			t.Fatal(err)
		}
		p := Part{Header: h}
		p.describe("text/plain")
		if p.MediaType != tt.want || p.Encoding != tt.encoding || p.Malformed != tt.malformed {
			t.Errorf("%q: type %q, encoding %q, malformed %q", tt.header, p.MediaType, p.Encoding, p.Malformed)
		}
	}
}
