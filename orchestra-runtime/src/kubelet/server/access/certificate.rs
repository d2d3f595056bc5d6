//! Who a client certificate is of: the common name is the user's, the organizations are the groups.

use orchestra_store::apiserver::strategy::UserInfo;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
/// UTF8String, PrintableString and IA5String.
const STRINGS: [u8; 3] = [0x0c, 0x13, 0x16];
/// The number of a certificate's version, if it has one.
const VERSION: u8 = 0xa0;
/// 2.5.4.3 and 2.5.4.10.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
const ORGANIZATION: [u8; 3] = [0x55, 0x04, 0x0a];

/// The certificate, in DER, that the client at the other end of a connection has shown, and that is good.
#[derive(Clone, Debug)]
pub(in crate::kubelet) struct PeerCertificate(pub(in crate::kubelet) Vec<u8>);

impl PeerCertificate {
    /// Whose it is; nobody's if it names none.
    pub(super) fn user(&self) -> Option<UserInfo> {
        let mut user = UserInfo::default();
        let mut names = subject(&self.0)?;
        while let Some(name) = take(&mut names, SET) {
            let mut name = name;
            while let Some(mut attribute) = take(&mut name, SEQUENCE) {
                let kind = take(&mut attribute, OBJECT_ID)?;
                let text = STRINGS.into_iter().find_map(|tag| take(&mut attribute, tag));
                let Some(text) = text.and_then(|text| std::str::from_utf8(text).ok()) else { continue };
                match kind {
                    kind if kind == COMMON_NAME => text.clone_into(&mut user.name),
                    kind if kind == ORGANIZATION => user.groups.push(text.to_owned()),
                    _ => {}
                }
            }
        }
        user.groups.push("system:authenticated".to_owned());
        (!user.name.is_empty()).then_some(user)
    }
}

/// The relative distinguished names of a certificate's subject.
fn subject(mut der: &[u8]) -> Option<&[u8]> {
    let mut certificate = take(&mut der, SEQUENCE)?;
    let mut signed = take(&mut certificate, SEQUENCE)?;
    take(&mut signed, VERSION);
    // Its number, algorithm, issuer and validity come first.
    for _ in 0..4 {
        element(&mut signed)?;
    }
    take(&mut signed, SEQUENCE)
}

/// The content of the next element, if it has this tag.
fn take<'a>(from: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    if from.first() != Some(&tag) {
        return None;
    }
    element(from)
}

/// The content of the next element.
fn element<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (&length, rest) = from.get(1..)?.split_first()?;
    let (length, rest) = match usize::from(length) {
        short @ 0..=0x7f => (short, rest),
        long => {
            let (bytes, rest) = rest.split_at_checked(long & 0x7f)?;
            let length =
                bytes.iter().try_fold(0_usize, |sum, byte| sum.checked_mul(256)?.checked_add((*byte).into()))?;
            (length, rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *from = rest;
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tlv(tag: u8, content: &[&[u8]]) -> Vec<u8> {
        let content = content.concat();
        let length = u16::try_from(content.len()).unwrap();
        [&[tag, 0x82][..], &length.to_be_bytes(), &content].concat()
    }

    fn certificate(attributes: &[(&[u8], u8, &str)]) -> Vec<u8> {
        let name = |(kind, tag, text): &(&[u8], u8, &str)| {
            tlv(SET, &[&tlv(SEQUENCE, &[&tlv(OBJECT_ID, &[kind]), &tlv(*tag, &[text.as_bytes()])])])
        };
        let names: Vec<_> = attributes.iter().map(name).collect();
        let subject = tlv(SEQUENCE, &names.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let (version, other) = (tlv(VERSION, &[&[2, 1, 2]]), tlv(SEQUENCE, &[]));
        tlv(SEQUENCE, &[&tlv(SEQUENCE, &[&version, &[2, 1, 7], &other, &other, &other, &subject])])
    }

    #[test]
    fn names_and_organizations_are_users_and_groups() {
        let country: &[u8] = &[0x55, 0x04, 0x06];
        let der = certificate(&[
            (&ORGANIZATION, 0x0c, "system:masters"),
            (country, 0x13, "CH"),
            (&ORGANIZATION, 0x13, "team"),
            (&COMMON_NAME, 0x0c, "kube-apiserver"),
        ]);
        let user = PeerCertificate(der.clone()).user().unwrap();
        assert_eq!(user.name, "kube-apiserver");
        assert_eq!(user.groups, ["system:masters", "team", "system:authenticated"]);
        for length in 0..der.len() {
            assert!(PeerCertificate(der[..length].to_vec()).user().is_none());
        }
    }

    #[test]
    fn a_certificate_without_a_name_is_nobodys() {
        assert!(PeerCertificate(certificate(&[(&ORGANIZATION, 0x0c, "team")])).user().is_none());
        assert!(PeerCertificate(vec![SEQUENCE, 0xff, 0xff]).user().is_none());
    }
}
