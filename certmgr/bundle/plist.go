package bundle

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
)

// A dict is a dictionary of a property list, in the order in which it is written.
// Values are string, int, bool, []byte, dict and []dict.
type dict []entry

type entry struct {
	key   string
	value any
}

const plistHead = xml.Header +
	`<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">` + "\n" +
	`<plist version="1.0">` + "\n"

// plist writes a property list in XML.
func (d dict) plist() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(plistHead)
	if err := d.write(&b); err != nil {
		return nil, err
	}
	b.WriteString("</plist>\n")
	return b.Bytes(), nil
}

func (d dict) write(b *bytes.Buffer) error {
	b.WriteString("<dict>\n")
	for _, e := range d {
		if err := element(b, "key", e.key); err != nil {
			return err
		}
		if err := write(b, e.value); err != nil {
			return fmt.Errorf("%s: %w", e.key, err)
		}
	}
	b.WriteString("</dict>\n")
	return nil
}

func write(b *bytes.Buffer, value any) error {
	switch v := value.(type) {
	case string:
		return element(b, "string", v)
	case int:
		return element(b, "integer", fmt.Sprint(v))
	case bool:
		fmt.Fprintf(b, "<%t/>\n", v)
	case []byte:
		return element(b, "data", base64.StdEncoding.EncodeToString(v))
	case dict:
		return v.write(b)
	case []dict:
		b.WriteString("<array>\n")
		for _, d := range v {
			if err := d.write(b); err != nil {
				return err
			}
		}
		b.WriteString("</array>\n")
	default:
		return fmt.Errorf("a property list has no %T", value)
	}
	return nil
}

func element(b *bytes.Buffer, name, text string) error {
	b.WriteString("<" + name + ">")
	if err := xml.EscapeText(b, []byte(text)); err != nil {
		return err
	}
	b.WriteString("</" + name + ">\n")
	return nil
}
