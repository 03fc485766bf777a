//! GetObjectAttributes: forwarded for hot objects. Its answer carries no reserved header to know an archived one by,
//! so the catalog is asked first, and of an archived object nothing is told that would be the stub's.

use http::Response;
use model::Body;

use crate::error::Result;
use crate::house::{Ask, House};

pub(super) async fn attributes(house: &House, ask: Ask, body: Body) -> Result<Response<Body>> {
    if house.may_be_archived(ask.route.bucket()?, ask.route.key()?).await? {
        return Err(super::not_offered().into());
    }
    house.forward(ask, body).await
}
