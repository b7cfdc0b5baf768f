//! DER written by hand, for what no library would write.

/// One element: identifier, length, content.
#[must_use]
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let octets = length.iter().copied().skip_while(|octet| *octet == 0).collect::<Vec<_>>();
    let mut der = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short @ 0..=0x7f) => der.push(short),
        _ => {
            der.push(0x80 | u8::try_from(octets.len()).unwrap_or(8));
            der.extend(octets);
        }
    }
    der.extend(content);
    der
}

/// A SEQUENCE of these elements.
#[must_use]
pub fn sequence(elements: &[Vec<u8>]) -> Vec<u8> {
    element(0x30, &elements.concat())
}

/// A positive INTEGER of these octets.
#[must_use]
pub fn integer(octets: &[u8]) -> Vec<u8> {
    let octets: Vec<u8> = octets.iter().copied().skip_while(|octet| *octet == 0).collect();
    let sign: &[u8] = if octets.first().is_none_or(|first| *first >= 0x80) { &[0] } else { &[] };
    element(0x02, &[sign, &octets].concat())
}

/// A GeneralizedTime, from Unix seconds (days by the proleptic Gregorian calendar).
#[must_use]
pub fn time(seconds: u64) -> Vec<u8> {
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    // Counted in eras of 400 years that begin on 1 March, where the leap day is the last of its year.
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    let clock = format!("{:02}{:02}{:02}Z", second / 3600, second % 3600 / 60, second % 60);
    if year < 2050 {
        element(0x17, format!("{:02}{month:02}{day:02}{clock}", year % 100).as_bytes())
    } else {
        element(0x18, format!("{year:04}{month:02}{day:02}{clock}").as_bytes())
    }
}
