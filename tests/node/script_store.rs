//! Which of the texts that EVAL has brought make room for others.

use rondo::node::script_store::{ScriptStore, ScriptText};
use rondo::script::{Origin, ScriptId};
use std::sync::Arc;

fn add(store: &ScriptStore, number: usize) -> (ScriptId, Arc<ScriptText>) {
    let body = format!("return {number}");
    let id = ScriptId::of(body.as_bytes());
    (id, store.add(id, body.as_bytes(), Origin::Eval))
}

/// However fast the others come: it is no matter of time.
#[test]
fn a_text_in_use_stays_and_the_others_go_in_order() {
    let store = ScriptStore::default();
    let (id, used) = add(&store, 0);
    let others: Vec<_> = (1..1500)
        .map(|number| {
            let other = add(&store, number);
            store.touch(&used);
            other
        })
        .collect();
    assert!(!used.is_evicted() && store.get(&id).is_some());
    assert_eq!(store.counts(), (500, 1000));
    let kept = others.iter().filter(|(id, _)| store.get(id).is_some());
    let newest = others.iter().skip(1000);
    assert!(kept.map(|(id, _)| id).eq(newest.map(|(id, _)| id)));
}

/// A text that has made room and is used all the same is as new, unless all were to be forgotten.
#[test]
fn a_text_comes_again_until_all_are_flushed() {
    let store = ScriptStore::default();
    let (id, text) = add(&store, 0);
    for number in 1..=500 {
        add(&store, number);
    }
    assert!(text.is_evicted() && store.get(&id).is_none());
    let again = store.add_again(id, &text).expect("nobody has flushed");
    assert!(again.body == text.body && !again.is_evicted());
    assert!(store.get(&id).is_some());
    assert_eq!(store.counts(), (500, 2));
    store.flush();
    assert!(store.add_again(id, &text).is_none());
    assert!(store.add_again(id, &again).is_none());
    assert_eq!(store.counts().0, 0);
}
