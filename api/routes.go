package api

// routes is the whole API on one page: method, path, operation id, what it is
// for, who may call which use case.
func routes(r *router) {
	s := r.services

	route(r, "POST", "/v1/sessions", "signIn", "微信登录", anyone(signIn(s)))
	route(r, "DELETE", "/v1/sessions/current", "signOut", "退出登录", signedIn(r, signOut(s)))
	route(r, "DELETE", "/v1/sessions", "endSessions", "退出我的所有登录", signedIn(r, endSessions(s)))
	route(r, "POST", "/v1/me/binding", "bindMember", "绑定党员身份", signedIn(r, bindMember(s)))
	route(r, "GET", "/v1/me/code", "memberCode", "我的党员码", member(r, memberCode(s)))
	route(r, "GET", "/v1/home", "home", "首屏", signedIn(r, home(s)))

	route(r, "GET", "/v1/activities", "listActivities", "活动列表", member(r, listActivities(s)))
	route(r, "POST", "/v1/activities", "draftActivity", "新建活动（草稿）", member(r, draftActivity(s)))
	route(r, "GET", "/v1/activities/{activity_id}", "showActivity", "活动详情", member(r, showActivity(s)))
	route(r, "PUT", "/v1/activities/{activity_id}", "editActivity", "修改或改期", member(r, editActivity(s)))
	route(r, "POST", "/v1/activities/{activity_id}/publication", "publishActivity", "发布", member(r, publishActivity(s)))
	route(r, "POST", "/v1/activities/{activity_id}/cancellation", "cancelActivity", "取消", member(r, cancelActivity(s)))

	route(r, "POST", "/v1/check-ins", "checkIn", "签到", member(r, checkIn(s)))
	route(r, "GET", "/v1/activities/{activity_id}/check-in-code", "checkInCode", "会场屏幕上的签到码", member(r, checkInCode(s)))
	route(r, "POST", "/v1/activities/{activity_id}/check-in-code", "newCheckInCode", "换新码，旧码全部作废", member(r, newCheckInCode(s)))
	route(r, "POST", "/v1/activities/{activity_id}/attendances", "recordAttendance", "书记代记：到会或请假", member(r, recordAttendance(s)))
	route(r, "POST", "/v1/activities/{activity_id}/exemptions", "exemptMember", "经批准不计入应到", member(r, exemptMember(s)))
	route(r, "GET", "/v1/activities/{activity_id}/roster", "roster", "名单与到会情况", member(r, roster(s)))
	route(r, "GET", "/v1/activities/{activity_id}/board", "board", "会场统计", resolving(board(s)))
	route(r, "POST", "/v1/activities/{activity_id}/closing", "closeActivity", "结束会议", member(r, closeActivity(s)))
	route(r, "GET", "/v1/activities/{activity_id}/sheet", "attendanceSheet", "签到表", member(r, attendanceSheet(s)))
	file(r, "/v1/activities/{activity_id}/sheet.xlsx", "attendanceSheetWorkbook", "签到表（Excel）", xlsx, member(r, attendanceSheetWorkbook(s)))
	file(r, "/v1/activities/{activity_id}/sheet.html", "attendanceSheetPage", "签到表（打印页）", html, member(r, attendanceSheetPage(s)))

	route(r, "GET", "/v1/subscription-requests", "subscriptionRequests", "这次点击该请用户订阅哪些消息", member(r, subscriptionRequests(s)))
	route(r, "POST", "/v1/consents", "reportConsents", "上报用户订阅的结果", member(r, reportConsents(s)))
	route(r, "GET", "/v1/activities/{activity_id}/reach", "reachForecast", "发布前：微信能提醒到几人，几人要打电话", member(r, reachForecast(s)))
	route(r, "GET", "/v1/activities/{activity_id}/reminders", "reminderReport", "提醒的结果", member(r, reminderReport(s)))
	route(r, "GET", "/v1/activities/{activity_id}/calls", "callList", "电话通知单", member(r, callList(s)))
	file(r, "/v1/activities/{activity_id}/calls.html", "callListPage", "电话通知单（打印页）", html, member(r, callListPage(s)))

	route(r, "GET", "/v1/organisations", "listOrganisations", "下级组织", member(r, listOrganisations(s)))
	route(r, "POST", "/v1/organisations", "addOrganisation", "新设组织", member(r, addOrganisation(s)))
	route(r, "PUT", "/v1/organisations/{organisation_id}", "updateOrganisation", "改名、改属", member(r, updateOrganisation(s)))
	upload(r, "POST", "/v1/organisations/imports", "importOrganisations", "导入组织", member(r, importOrganisations(s)))
	upload(r, "POST", "/v1/organisations/{organisation_id}/roster-imports", "importRoster", "导入名册", member(r, importRoster(s)))
	route(r, "GET", "/v1/organisations/{organisation_id}/members", "listMembers", "党员名册", member(r, listMembers(s)))
	route(r, "GET", "/v1/members/{member_id}/phone", "revealPhone", "查看完整手机号（留痕）", member(r, revealPhone(s)))
	route(r, "POST", "/v1/members/{member_id}/invitation", "inviteMember", "发一次性邀请码", member(r, inviteMember(s)))
	route(r, "DELETE", "/v1/members/{member_id}/binding", "unbindMember", "解除微信绑定", member(r, unbindMember(s)))
	route(r, "POST", "/v1/members/{member_id}/transfer", "transferMember", "转接组织关系", member(r, transferMember(s)))
	route(r, "DELETE", "/v1/members/{member_id}/membership", "endMembership", "离开本支部", member(r, endMembership(s)))
	route(r, "POST", "/v1/posts", "grantPost", "任职", member(r, grantPost(s)))
	route(r, "DELETE", "/v1/posts/{post_id}", "endPost", "免职", member(r, endPost(s)))

	route(r, "GET", "/v1/communities", "listCommunities", "可以报到的社区", member(r, listCommunities(s)))
	route(r, "GET", "/v1/community-registrations", "listCommunityRegistrations", "报到情况", member(r, listCommunityRegistrations(s)))
	route(r, "POST", "/v1/community-registrations", "registerWithCommunity", "到社区报到", member(r, registerWithCommunity(s)))
	route(r, "POST", "/v1/community-registrations/{registration_id}/confirmation", "confirmCommunityRegistration", "社区确认或退回报到", member(r, confirmCommunityRegistration(s)))
	route(r, "DELETE", "/v1/community-registrations/{registration_id}", "withdrawCommunityRegistration", "结束报到", member(r, withdrawCommunityRegistration(s)))

	route(r, "GET", "/v1/service-days", "listServiceDays", "一个社区的服务日", member(r, listServiceDays(s)))
	route(r, "POST", "/v1/service-days", "draftServiceDay", "新建服务日（草稿）", member(r, draftServiceDay(s)))
	route(r, "GET", "/v1/service-days/{service_day_id}", "showServiceDay", "服务日与岗位", member(r, showServiceDay(s)))
	route(r, "PUT", "/v1/service-days/{service_day_id}", "editServiceDay", "修改草稿", member(r, editServiceDay(s)))
	route(r, "PUT", "/v1/service-days/{service_day_id}/words", "rewordServiceDay", "改已发布服务日的文字", member(r, rewordServiceDay(s)))
	route(r, "POST", "/v1/service-days/{service_day_id}/publication", "publishServiceNeed", "发布服务需求", member(r, publishServiceNeed(s)))
	route(r, "POST", "/v1/service-days/{service_day_id}/cancellation", "cancelServiceDay", "取消服务日", member(r, cancelServiceDay(s)))

	route(r, "GET", "/v1/service-slots", "listServiceSlots", "找服务岗位", member(r, listServiceSlots(s)))
	route(r, "PUT", "/v1/service-slots/{slot_id}/capacity", "setSlotCapacity", "增减岗位名额", member(r, setSlotCapacity(s)))
	route(r, "GET", "/v1/service-slots/{slot_id}/sign-ups", "listSlotSignUps", "岗位的报名与候补", member(r, listSlotSignUps(s)))
	route(r, "POST", "/v1/service-slots/{slot_id}/sign-ups", "signUpForSlot", "报名", member(r, signUpForSlot(s)))
	route(r, "POST", "/v1/service-slots/{slot_id}/waiting-list", "joinWaitingList", "排候补（有空位时直接报上）", member(r, joinWaitingList(s)))
	route(r, "POST", "/v1/service-slots/{slot_id}/member-sign-ups", "signUpMembers", "书记为几位党员报名", member(r, signUpMembers(s)))
	route(r, "GET", "/v1/me/sign-ups", "listOwnSignUps", "我的服务报名", member(r, listOwnSignUps(s)))
	route(r, "POST", "/v1/sign-ups/{sign_up_id}/cancellation", "cancelSignUp", "取消报名", member(r, cancelSignUp(s)))
	route(r, "POST", "/v1/sign-ups/{sign_up_id}/withdrawal", "leaveWaitingList", "退出候补", member(r, leaveWaitingList(s)))
	route(r, "POST", "/v1/sign-ups/{sign_up_id}/answer", "answerOffer", "要或不要候补到的名额", member(r, answerOffer(s)))
}
