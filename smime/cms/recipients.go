package cms

import "mailseal/smime/cms/recipient"

// recipients reads an optional OriginatorInfo and the RecipientInfos, and says who they are.
func (p *object) recipients(d *Description) error {
	infos, err := p.recipientInfos()
	for _, i := range infos {
		d.Recipients = append(d.Recipients, describeRecipient(i)...)
	}
	return err
}

// describeRecipient says who may have the key by i, and how: one for each of the recipients that are named.
func describeRecipient(i *recipient.Info) []RecipientDescription {
	one := RecipientDescription{Kind: string(i.Kind), Algorithm: nameOf(i.Algorithm.Algorithm)}
	if len(i.Recipients) == 0 {
		return []RecipientDescription{one}
	}
	list := make([]RecipientDescription, len(i.Recipients))
	for n, id := range i.Recipients {
		one.SubjectKeyID, one.Issuer, one.Serial = id.SubjectKeyID, "", id.Serial
		if id.Issuer != nil {
			one.Issuer = nameString(id.Issuer)
		}
		list[n] = one
	}
	return list
}
