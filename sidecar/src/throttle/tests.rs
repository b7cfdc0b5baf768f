use super::*;
use tokio::time::advance;

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

fn charged(throttle: &Throttle, work: Work, client: Option<IpAddr>, times: u32) {
    for _ in 0..times {
        throttle.charge(work, client);
    }
}

#[tokio::test(start_paused = true)]
async fn an_origin_within_its_share_never_waits() {
    let (throttle, client) = (Throttle::default(), address("192.0.2.1"));
    charged(&throttle, Work::Signature, client, 50);
    let before = Instant::now();
    throttle.pace(Work::Signature, client).await;
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_origin_over_its_share_waits_a_little_and_is_let_through() {
    let (throttle, client) = (Throttle::default(), address("192.0.2.1"));
    charged(&throttle, Work::Signature, client, 51);
    let before = Instant::now();
    throttle.pace(Work::Signature, client).await;
    assert!((Duration::from_millis(50)..=WAIT_MAX).contains(&before.elapsed()), "{:?}", before.elapsed());
    charged(&throttle, Work::KeyFetch, client, 6);
    let before = Instant::now();
    throttle.pace(Work::KeyFetch, client).await;
    assert_eq!(before.elapsed().as_millis().clamp(500, 502), before.elapsed().as_millis());
    // Its other work, and others, are not touched.
    assert!(throttle.slowed_for(Work::Introspection, client).is_zero());
    assert!(throttle.slowed_for(Work::KeyFetch, address("192.0.2.2")).is_zero());
    advance(Duration::from_secs(61)).await;
    assert!(throttle.slowed_for(Work::KeyFetch, client).is_zero());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_address_is_never_slowed() {
    let throttle = Throttle::default();
    charged(&throttle, Work::Signature, None, 10_000);
    assert!(throttle.slowed_for(Work::Signature, None).is_zero());
    assert!(throttle.list().is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_so_many_wait_at_once() {
    let (throttle, client) = (Throttle::default(), address("192.0.2.1"));
    charged(&throttle, Work::KeyFetch, client, 6);
    let waiting: Vec<_> = (0..WAITING)
        .map(|_| {
            let throttle = throttle.clone();
            tokio::spawn(async move { throttle.pace(Work::KeyFetch, client).await })
        })
        .collect();
    tokio::task::yield_now().await;
    let before = Instant::now();
    throttle.pace(Work::KeyFetch, client).await;
    assert_eq!(before.elapsed(), Duration::ZERO);
    for one in waiting {
        one.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_site_is_one_origin_however_many_addresses_it_has() {
    let throttle = Throttle::default();
    for n in 0..60_u16 {
        throttle.charge(Work::Signature, address(&format!("2001:db8:1:2:{n:x}::1")));
    }
    assert!(!throttle.slowed_for(Work::Signature, address("2001:db8:1:2::ffff")).is_zero());
    assert!(throttle.slowed_for(Work::Signature, address("2001:db8:1:3::1")).is_zero());
    assert_eq!(Origin::of("::ffff:192.0.2.1".parse().unwrap()).to_string(), "192.0.2.1");
    assert_eq!(Origin::of("2001:db8:1:2:3::1".parse().unwrap()).to_string(), "2001:db8:1:2::/64");
}

#[tokio::test(start_paused = true)]
async fn an_operator_can_list_and_clear() {
    let (throttle, one, other) = (Throttle::default(), address("192.0.2.1"), address("192.0.2.2"));
    charged(&throttle, Work::Signature, one, 70);
    charged(&throttle, Work::Introspection, other, 3);
    let list = throttle.list();
    assert_eq!(list.len(), 2);
    assert_eq!((list[0].origin, list[0].work, list[0].charged), (Origin::of(one.unwrap()), Work::Signature, 70));
    assert!(!list[0].slowed_for.is_zero() && list[1].slowed_for.is_zero());
    assert_eq!((throttle.clear(one), throttle.clear(one)), (1, 0));
    assert!(throttle.slowed_for(Work::Signature, one).is_zero());
    assert_eq!(throttle.clear(None), 1);
    assert!(throttle.list().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_million_addresses_take_a_bounded_room() {
    let throttle = Throttle::default();
    for n in 0..100_000_u32 {
        throttle.charge(Work::Signature, Some(IpAddr::from(n.to_be_bytes())));
    }
    throttle.0.origins.run_pending_tasks();
    assert!(throttle.0.origins.entry_count() <= ORIGINS);
    assert!(throttle.list().len() <= LISTED);
}

#[tokio::test(start_paused = true)]
async fn an_exempt_address_is_neither_charged_nor_slowed_and_a_lifted_limit_only_counts() {
    let (webmail, client) = (address("192.0.2.10"), address("192.0.2.1"));
    let exempt = webmail.into_iter().collect();
    let throttle = Throttle::new(&Allowance { unknown_keys: None, exempt, ..Allowance::default() });
    charged(&throttle, Work::Signature, webmail, 1000);
    charged(&throttle, Work::KeyFetch, client, 1000);
    assert!(throttle.slowed_for(Work::Signature, webmail).is_zero());
    assert!(throttle.slowed_for(Work::KeyFetch, client).is_zero());
    let list = throttle.list();
    assert_eq!((list.len(), list[0].origin, list[0].charged), (1, Origin::of(client.unwrap()), 1000));
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_the_configured_one() {
    let (throttle, client) = (
        Throttle::new(&Allowance { bad_signatures: NonZeroU32::new(6), ..Allowance::default() }),
        address("192.0.2.1"),
    );
    charged(&throttle, Work::Signature, client, 51);
    let slowed = throttle.slowed_for(Work::Signature, client);
    assert!((Duration::from_secs(9)..=Duration::from_secs(11)).contains(&slowed), "{slowed:?}");
}
