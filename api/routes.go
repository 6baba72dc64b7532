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
}
